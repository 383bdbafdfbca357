import { backoffMs, unref } from "./backoff.js";
import { AtelierError, endsSession, isPassing } from "./errors.js";
import type { Tokens, User } from "./generated/api.js";
import { createListeners } from "./listeners.js";
import type { TokenStore } from "./token-store.js";

/** Who is signed in, as listeners are told. */
export type SessionState =
  | { readonly status: "signed_in"; readonly user: User }
  /** `reason` is there when the session was ended by somebody else: `session_revoked`, `session_expired`, `refresh_reused`. */
  | { readonly status: "signed_out"; readonly reason?: AtelierError };

interface Kept {
  readonly user: User;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Milliseconds since the Unix epoch, by this machine's clock. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** The session of one account, shared by all tabs over its store. */
export interface Session {
  readonly user: User | undefined;
  /** Resolves once the store was read. */
  ready(): Promise<void>;
  begin(user: User, tokens: Tokens): Promise<void>;
  /** The account changed. */
  update(user: User): Promise<void>;
  /** Forgets the tokens, here and in the store. */
  end(reason?: AtelierError): Promise<void>;
  /**
   * A token that is good for a while: renewed at about 80 % of its life, by one tab for all.
   *
   * @param rejected a token the service refused; another one is fetched in its place.
   * @throws AtelierError `unauthenticated` when signed out, `session_*` when the session is over, what the network says.
   */
  accessToken(rejected?: string): Promise<string>;
  /** The refresh token as it is now. */
  refreshToken(): string | undefined;
  /** The service said that this access token's session is over: ends it, unless another tab has signed in since. */
  refused(token: string, error: AtelierError): Promise<void>;
  onChange(listener: (state: SessionState) => void): () => void;
  /** Calls `listener` with every new access token. */
  onToken(listener: (token: string) => void): () => void;
  /** Stops renewing by itself. */
  close(): void;
}

/** The browser's `navigator.locks`, as far as it is used. */
interface Locks {
  request<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** A session is renewed after this share of a token's life, give or take a tenth. */
const RENEW_SHARE = 0.8;

/** A session over `store`; `exchange` is `POST /auth/refresh`. */
export function createSession(options: {
  readonly store: TokenStore;
  /** Names the lock that tabs share. */
  readonly name: string;
  readonly exchange: (refreshToken: string) => Promise<Tokens>;
}): Session {
  const { store, name, exchange } = options;
  const locks = (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks;
  const changes = createListeners<SessionState>();
  const tokens = createListeners<string>();
  let kept: Kept | undefined;
  let renewing: Promise<Kept> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let closed = false;

  const loading = Promise.resolve(store.get()).then((text) => adopt(parse(text)));
  loading.catch(() => undefined);
  const unwatch = store.watch?.(() => void Promise.resolve(store.get()).then((text) => adopt(parse(text))));

  /** Takes over what the store says; tells listeners when somebody came or went. */
  function adopt(next: Kept | undefined, reason?: AtelierError): void {
    const before = kept;
    kept = next;
    schedule();
    if (next && before && next.accessToken !== before.accessToken) tokens.tell(next.accessToken);
    if (next && (before?.user.id !== next.user.id || before.user.version !== next.user.version))
      changes.tell({ status: "signed_in", user: next.user });
    else if (!next && before)
      changes.tell(reason ? { status: "signed_out", reason } : { status: "signed_out" });
  }

  function schedule(): void {
    clearTimeout(timer);
    if (!kept || closed) return;
    const { issuedAt, expiresAt } = kept;
    const share = RENEW_SHARE + (Math.random() - 0.5) * 0.2;
    const due = issuedAt + (expiresAt - issuedAt) * share - Date.now();
    const wait = failures > 0 ? 1_000 + backoffMs(failures, 2_000, 60_000) : Math.max(0, due);
    timer = setTimeout(
      () => {
        renew().then(
          () => undefined,
          () => schedule(),
        );
      },
      Math.min(wait, 2 ** 31 - 1),
    );
    unref(timer);
  }

  function renew(): Promise<Kept> {
    renewing ??= (locks ? locks.request(`atelier:${name}`, exchangeOnce) : exchangeOnce())
      .then(
        (next) => {
          failures = 0;
          return next;
        },
        (error: unknown) => {
          failures += 1;
          throw error;
        },
      )
      .finally(() => {
        renewing = undefined;
      });
    return renewing;
  }

  /** Alone among the tabs: what another tab has renewed meanwhile is taken as it is. */
  async function exchangeOnce(): Promise<Kept> {
    const stored = parse(await store.get());
    const old = kept;
    if (!stored || !old) {
      adopt(undefined);
      throw signedOut();
    }
    if (stored.accessToken !== old.accessToken && !isDue(stored)) {
      adopt(stored);
      return stored;
    }
    const askedAt = Date.now();
    let pair: Tokens;
    try {
      pair = await exchange(stored.refreshToken);
    } catch (error) {
      if (error instanceof AtelierError && isOver(error)) {
        await store.remove();
        adopt(undefined, error);
      }
      throw error;
    }
    const next = keep(stored.user, pair, askedAt);
    await store.set(JSON.stringify(next));
    adopt(next);
    return next;
  }

  async function end(reason?: AtelierError): Promise<void> {
    await store.remove();
    adopt(undefined, reason);
  }

  return {
    get user() {
      return kept?.user;
    },
    ready: () => loading,
    async begin(user, pair) {
      await loading;
      const next = keep(user, pair, Date.now());
      failures = 0;
      await store.set(JSON.stringify(next));
      adopt(next);
    },
    async update(user) {
      if (!kept || kept.user.id !== user.id) return;
      const next = { ...kept, user };
      await store.set(JSON.stringify(next));
      adopt(next);
    },
    end,
    async accessToken(rejected) {
      await loading;
      if (!kept) throw signedOut();
      if (kept.accessToken !== rejected && !isDue(kept)) return kept.accessToken;
      try {
        return (await renew()).accessToken;
      } catch (error) {
        // The old one lives a little longer than we wait before renewing it.
        const current = kept as Kept | undefined;
        if (isPassing(error) && current && current.accessToken !== rejected && Date.now() < current.expiresAt)
          return current.accessToken;
        throw error;
      }
    },
    refreshToken: () => kept?.refreshToken,
    async refused(token, error) {
      const stored = parse(await store.get());
      if (stored && stored.accessToken !== token) adopt(stored);
      else if (endsSession(error)) await end(error);
    },
    onChange: (listener) => changes.add(listener),
    onToken: (listener) => tokens.add(listener),
    close() {
      closed = true;
      clearTimeout(timer);
      unwatch?.();
    },
  };
}

/** A refresh token the service does not know as its own is as final as an ended session: no later try can succeed. */
function isOver(error: AtelierError): boolean {
  return endsSession(error) || (error.status === 401 && error.code === "invalid_token");
}

function keep(user: User, tokens: Tokens, issuedAt: number): Kept {
  const { accessToken, refreshToken, expiresIn } = tokens;
  return { user, accessToken, refreshToken, issuedAt, expiresAt: issuedAt + expiresIn * 1000 };
}

function isDue({ issuedAt, expiresAt }: Kept): boolean {
  return Date.now() >= issuedAt + (expiresAt - issuedAt) * RENEW_SHARE;
}

function parse(text: string | undefined): Kept | undefined {
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as Partial<Kept>;
    const whole =
      typeof value.accessToken === "string" && typeof value.refreshToken === "string" && value.user;
    return whole ? (value as Kept) : undefined;
  } catch {
    return undefined;
  }
}

function signedOut(): AtelierError {
  return new AtelierError("unauthenticated", "Nobody is signed in.", { status: 401 });
}
