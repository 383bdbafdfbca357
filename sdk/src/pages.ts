/** One page of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** Give it as `cursor` to get the next page; null when this is the last. */
  readonly nextCursor: string | null;
}

/** A list: await it for one page, iterate it (`for await`) for every item of all pages. */
export interface Pages<Item> extends Promise<Page<Item>>, AsyncIterable<Item> {
  /** Every item of all pages, at most `limit` of them. */
  all(limit?: number): Promise<Item[]>;
}

/** A list whose pages `fetchPage` gives; the first is asked for at once, the others as they are needed. */
export function pagesOf<Item>(
  start: string | undefined,
  fetchPage: (cursor: string | undefined) => Promise<Page<Item>>,
): Pages<Item> {
  const first = fetchPage(start);

  async function* iterate(): AsyncGenerator<Item, void> {
    let page = await first;
    yield* page.items;
    while (page.nextCursor !== null) {
      page = await fetchPage(page.nextCursor);
      yield* page.items;
    }
  }

  async function all(limit = Number.POSITIVE_INFINITY): Promise<Item[]> {
    const items: Item[] = [];
    for await (const item of iterate()) {
      if (items.length >= limit) break;
      items.push(item);
    }
    return items;
  }

  return Object.assign(first, { [Symbol.asyncIterator]: iterate, all });
}
