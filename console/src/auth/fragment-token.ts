import { useState } from "react";

/**
 * The token after `#token=` of a link. It is read once and taken out of the address, so that it stays neither in the
 * history nor on the screen.
 */
export function useFragmentToken(): string | undefined {
  const [token] = useState(take);
  return token;
}

const taken = new Map<string, string>();

function take(): string | undefined {
  const found = /^#token=([\w.-]+)$/.exec(location.hash)?.[1];
  if (found === undefined) return taken.get(location.pathname);
  // A component may be made twice before it is shown.
  taken.set(location.pathname, found);
  history.replaceState(history.state, "", location.pathname + location.search);
  return found;
}
