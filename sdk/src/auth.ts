import type { Caller, CallOptions } from "./caller.js";
import { AtelierError } from "./errors.js";
import type { Session as Device, Operations, User } from "./generated/api.js";
import { type Pages, pagesOf } from "./pages.js";
import type { Session, SessionState } from "./session.js";

/** Signing up, in and out, and the account itself. */
export interface Auth {
  /** Who is signed in; undefined when nobody is, or before {@link ready}. */
  readonly user: User | undefined;
  /** Resolves with who is signed in once the kept session was read. */
  ready(): Promise<User | undefined>;
  /** Calls `listener` with every change, in this tab or another; answers what ends that. */
  onChange(listener: (state: SessionState) => void): () => void;
  /** @throws AtelierError `email_taken`, `validation_failed`. */
  register(input: Operations["register"]["body"], options?: CallOptions): Promise<User>;
  /** @throws AtelierError `invalid_credentials`, `rate_limited`. */
  login(input: Operations["login"]["body"], options?: CallOptions): Promise<User>;
  /** Signs in with the token of a link that the service printed when it was started. @throws AtelierError `link_expired`. */
  loginByLink(token: string, options?: CallOptions): Promise<User>;
  /** Forgets the session here whatever happens; rejects when the service could not be told. */
  logout(options?: CallOptions): Promise<void>;
  /** Signs out every device, or every other one. */
  logoutAll(input?: { readonly keepCurrent?: boolean }, options?: CallOptions): Promise<void>;
  /** Reads the account anew. */
  me(options?: CallOptions): Promise<User>;
  updateMe(input: Operations["updateMe"]["body"], options?: CallOptions): Promise<User>;
  /** @throws AtelierError `wrong_password`. */
  changePassword(input: Operations["changePassword"]["body"], options?: CallOptions): Promise<void>;
  forgotPassword(email: string, options?: CallOptions): Promise<void>;
  resetPassword(input: Operations["resetPassword"]["body"], options?: CallOptions): Promise<void>;
  verifyEmail(token: string, options?: CallOptions): Promise<void>;
  resendVerification(options?: CallOptions): Promise<void>;
  /** An access token that is good for a while, for requests of your own. */
  accessToken(): Promise<string>;
}

/** Devices the account is signed in on. */
export interface Sessions {
  list(query?: Operations["listSessions"]["query"], options?: CallOptions): Pages<Device>;
  end(sessionId: string, options?: CallOptions): Promise<void>;
}

/** The account over the API and its session. */
export function createAuth(caller: Caller, session: Session): Auth {
  async function begin({ user, tokens }: Operations["login"]["reply"]): Promise<User> {
    await session.begin(user, tokens);
    return user;
  }
  return {
    get user() {
      return session.user;
    },
    async ready() {
      await session.ready();
      return session.user;
    },
    onChange: (listener) => session.onChange(listener),
    register: async (body, options) => begin(await caller.call("register", { body, ...options })),
    login: async (body, options) => begin(await caller.call("login", { body, ...options })),
    loginByLink: async (token, options) =>
      begin(await caller.call("signInByLink", { body: { token }, ...options })),
    async logout(options) {
      await session.ready();
      const refreshToken = session.refreshToken();
      if (refreshToken === undefined) return;
      try {
        await caller.call("logout", { body: { refreshToken }, ...options });
      } catch (error) {
        // Whoever is signed out already has what they asked for.
        if (!(error instanceof AtelierError) || error.status !== 401) throw error;
      } finally {
        await session.end();
      }
    },
    async logoutAll(input = {}, options) {
      await caller.call("logoutAll", { body: input, ...options });
      if (input.keepCurrent !== true) await session.end();
    },
    async me(options) {
      const { user } = await caller.call("getMe", { ...options });
      await session.update(user);
      return user;
    },
    async updateMe(body, options) {
      const { user } = await caller.call("updateMe", { body, ...options });
      await session.update(user);
      return user;
    },
    changePassword: (body, options) => caller.call("changePassword", { body, ...options }),
    forgotPassword: (email, options) => caller.call("forgotPassword", { body: { email }, ...options }),
    resetPassword: (body, options) => caller.call("resetPassword", { body, ...options }),
    verifyEmail: (token, options) => caller.call("verifyEmail", { body: { token }, ...options }),
    resendVerification: (options) => caller.call("resendVerification", { ...options }),
    accessToken: () => session.accessToken(),
  };
}

/** Devices over the API. */
export function createSessions(caller: Caller): Sessions {
  return {
    list: (query, options) =>
      pagesOf(query?.cursor, async (cursor) => {
        const { sessions, nextCursor } = await caller.call("listSessions", {
          query: { ...query, cursor },
          ...options,
        });
        return { items: sessions, nextCursor };
      }),
    end: (id, options) => caller.call("endSession", { params: { id }, ...options }),
  };
}
