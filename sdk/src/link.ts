import { backoffMs, unref } from "./backoff.js";
import { AtelierError, isPassing } from "./errors.js";
import type { Sockets, WebSocketLike } from "./sockets.js";

/** Where a link stands; `connected` once the service has greeted. */
export type LinkState = "connecting" | "connected" | "reconnecting" | "closed";

/** What to do about a close: stop for good, or come back after at least `waitMs`. */
export type Verdict = { readonly stop: AtelierError } | { readonly waitMs: number };

/** A socket that comes back. */
export interface Link {
  readonly state: LinkState;
  start(): void;
  /** True when it went out. */
  send(data: string | Uint8Array): boolean;
  /** The service has greeted: from now on the link is `connected`. */
  greeted(): void;
  /** The service named a time to come back after. */
  returnAfter(ms: number): void;
  /** Drops the connection and comes back: what arrived cannot be relied on. */
  drop(): void;
  /** Ends it for good. */
  stop(): void;
}

/** What a link needs to know. */
export interface LinkOptions {
  readonly sockets: Sockets;
  /** Where to connect this time. @throws AtelierError; one that is not passing ends the link. */
  readonly address: (
    base: string,
  ) => Promise<{ readonly url: string; readonly protocols: readonly string[] }>;
  /** Asks over HTTP why a socket was refused: a socket itself does not say. @throws AtelierError as `address`. */
  readonly probe: () => Promise<unknown>;
  readonly judge: (code: number, reason: string) => Verdict;
  readonly ping: string | Uint8Array;
  readonly onOpen?: () => void;
  readonly onMessage: (data: unknown) => void;
  readonly onState: (state: LinkState, error: AtelierError | undefined) => void;
  /** Something that passes by itself, or may need somebody to look. */
  readonly onTrouble?: (error: AtelierError) => void;
}

const OPENING_MS = 15_000;
/** A page cannot see the service's pings: it asks for itself, and gives up after this share of the silence it asked after. */
const PONG_SHARE = 0.4;
/** A connection that lived for so long was a good one. */
const GOOD_MS = 5_000;
const BASE_MS = 500;
const CAP_MS = 30_000;
const REFUSALS = 3;

/** A link that reconnects with full-jitter backoff until it is stopped or told to stop. */
export function createLink(options: LinkOptions): Link {
  const { sockets, judge } = options;
  let state: LinkState = "closed";
  let socket: WebSocketLike | undefined;
  let turn = 0;
  let attempt = 0;
  let refusals = 0;
  let greetedAt = 0;
  let earliest = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let watch: ReturnType<typeof setTimeout> | undefined;

  function enter(next: LinkState, error?: AtelierError): void {
    if (state === next) return;
    state = next;
    options.onState(next, error);
  }

  async function open(): Promise<void> {
    turn += 1;
    const mine = turn;
    clearTimeout(retry);
    retry = undefined;
    try {
      const { url, protocols } = await options.address(await sockets.url());
      if (mine !== turn || state === "closed") return;
      connect(sockets.open(url, protocols));
    } catch (error) {
      if (mine === turn && state !== "closed") failed(error);
    }
  }

  function connect(opening: WebSocketLike): void {
    socket = opening;
    opening.binaryType = "arraybuffer";
    expect(OPENING_MS);
    opening.onopen = () => options.onOpen?.();
    opening.onmessage = ({ data }) => {
      if (socket !== opening) return;
      if (state === "connected") expect(sockets.silenceMs, true);
      options.onMessage(data);
    };
    opening.onerror = () => undefined;
    opening.onclose = ({ code, reason }) => {
      if (socket === opening) closed(code, reason);
    };
  }

  /** Something has to arrive within `ms`; with `ask`, the service is asked before it is given up. */
  function expect(ms: number, ask = false): void {
    clearTimeout(watch);
    watch = setTimeout(() => {
      if (!ask) abandon(1006);
      else if (send(options.ping)) expect(sockets.silenceMs * PONG_SHARE);
    }, ms);
    unref(watch);
  }

  function send(data: string | Uint8Array): boolean {
    if (socket?.readyState !== 1) return false;
    socket.send(data);
    return true;
  }

  /** A dead network answers no close: the connection is forgotten at once. */
  function abandon(code: number): void {
    const old = socket;
    if (!old) return;
    closed(code, "");
    old.close();
  }

  function closed(code: number, reason: string): void {
    clearTimeout(watch);
    socket = undefined;
    if (state === "closed") return;
    const wasGreeted = state === "connected";
    if (wasGreeted && Date.now() - greetedAt > GOOD_MS) attempt = 0;
    const verdict = judge(code, reason);
    if ("stop" in verdict) {
      finish(verdict.stop);
      return;
    }
    enter("reconnecting");
    if (wasGreeted || code !== 1006) again(verdict.waitMs);
    else void refused();
  }

  async function refused(): Promise<void> {
    const mine = turn;
    try {
      await options.probe();
      refusals += 1;
      if (refusals >= REFUSALS)
        options.onTrouble?.(
          new AtelierError(
            "closed",
            "The service answers but its sockets do not: is this origin in CORS_ORIGIN?",
          ),
        );
      if (mine === turn && state !== "closed") again(0);
    } catch (error) {
      if (mine === turn && state !== "closed") failed(error);
    }
  }

  function failed(error: unknown): void {
    const known =
      error instanceof AtelierError ? error : new AtelierError("closed", String(error), { cause: error });
    if (!isPassing(known)) {
      finish(known);
      return;
    }
    enter("reconnecting");
    options.onTrouble?.(known);
    again((known.retryAfter ?? 0) * 1000);
  }

  function again(waitMs: number): void {
    const least = Math.max(waitMs, earliest - Date.now());
    retry = setTimeout(() => void open(), least + backoffMs(attempt, BASE_MS, CAP_MS));
    attempt += 1;
  }

  function finish(error?: AtelierError): void {
    turn += 1;
    clearTimeout(retry);
    clearTimeout(watch);
    const old = socket;
    socket = undefined;
    target?.removeEventListener("online", hurry);
    target?.removeEventListener("pageshow", hurry);
    enter("closed", error);
    old?.close(1000);
  }

  /** The network is back, or the page was woken: no reason to wait. */
  function hurry(): void {
    if (state === "connected") {
      if (send(options.ping)) expect(sockets.silenceMs * PONG_SHARE);
    } else if (retry !== undefined && Date.now() >= earliest) {
      attempt = 0;
      void open();
    }
  }

  const target = typeof globalThis.addEventListener === "function" ? globalThis : undefined;

  return {
    get state() {
      return state;
    },
    start() {
      if (state !== "closed") return;
      attempt = 0;
      target?.addEventListener("online", hurry);
      target?.addEventListener("pageshow", hurry);
      enter("connecting");
      void open();
    },
    send,
    greeted() {
      greetedAt = Date.now();
      refusals = 0;
      earliest = 0;
      expect(sockets.silenceMs, true);
      enter("connected");
    },
    returnAfter(ms) {
      earliest = Date.now() + ms;
    },
    drop() {
      abandon(1006);
    },
    stop: () => finish(),
  };
}
