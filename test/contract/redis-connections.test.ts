import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import {
  createRedis,
  type RedisConnections,
  type RedisOptionsInput,
} from "../../src/platform/redis/redis.js";
import { describeAdapter, failureOf, until } from "../kit/adapters.js";
import {
  ask,
  makeTestCertificate,
  missingOpenssl,
  missingRedisServer,
  startTestRedis,
  startTestSentinel,
  type TestRedis,
} from "../kit/redis.js";

const opened: RedisConnections[] = [];
const errors: Error[] = [];
function connect(options: Partial<RedisOptionsInput>): RedisConnections {
  const redis = createRedis({ onError: (error) => errors.push(error), ...options });
  opened.push(redis);
  return redis;
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((redis) => redis.close()));
  errors.length = 0;
});

async function answers(redis: RedisConnections): Promise<boolean> {
  return (await failureOf(redis.ping())).code === "no error";
}

describe("where Redis is", () => {
  it.each([
    "localhost:6379",
    "http://localhost",
    "redis://",
    "redis://user:secret@host:port",
    "redis://user:secret@localhost/notanumber",
    "",
  ])("[RD1] the URL %j is refused without repeating it", (url) => {
    expect(() => connect({ url })).toThrow("The Redis URL is not of the form");
    expect(() => connect({ url })).not.toThrow(/secret/);
  });

  it.each(["localhost", "localhost:", ":6379", "localhost:abc", "localhost:1:2:x"])(
    "[RD1] the node %j is refused",
    (node) => {
      expect(() => connect({ cluster: { nodes: [node] } })).toThrow("not of the form host:port");
      expect(() => connect({ sentinels: { nodes: [node], master: "m" } })).toThrow(
        "not of the form host:port",
      );
    },
  );

  it("[RD2] every key has the prefix, and keys with one tag share a slot whatever the tag holds", () => {
    const redis = connect({ port: 1, keyPrefix: "p:" });
    expect(redis.key("name")).toBe("p:name");
    expect(redis.key("a", "t1")).toBe("p:a:{t1}");
    const tags = ["}", "{}", "a}b", "{a}", "%7D"].map((tag) => redis.key("", tag));
    for (const tag of tags) expect(tag).toMatch(/^p::\{[^{}]+\}$/);
    expect(new Set(tags).size).toBe(tags.length);
  });

  it("[RD3] where nothing listens every call fails at once, and the errors are told", async () => {
    const redis = connect({ port: 1 });
    for (let i = 0; i < 2; i += 1) {
      const failure = await failureOf(redis.ping());
      expect(failure.code).toBe("dependency_unavailable");
      expect(failure.ms).toBeLessThan(2_000);
    }
    expect(errors.length).toBeGreaterThan(0);
  });
});

describeAdapter("connections through Sentinel", missingRedisServer(), () => {
  it("[RD10] find the master, and after a failover the new one, for commands and subscriptions", async () => {
    const first = await startTestRedis();
    const second = await startTestRedis({ replicaOf: first.port });
    await until(async () => (await ask(second.port, "INFO replication")).includes("master_link_status:up"));
    const sentinel = await startTestSentinel(first.port);
    const redis = connect({ sentinels: { nodes: [`127.0.0.1:${sentinel.port}`], master: "master" } });
    await until(() => answers(redis));
    await redis.commands.run((client) => client.set("k", "before"));
    let reconnected = false;
    redis.subscriber.client.once("close", () => {
      redis.subscriber.client.once("ready", () => {
        reconnected = true;
      });
    });

    await until(async () => (await ask(sentinel.port, "SENTINEL REPLICAS master")).includes("\nslave"));
    await until(async () => (await ask(sentinel.port, "SENTINEL FAILOVER master")).startsWith("+OK"));
    await until(async () => (await ask(second.port, "INFO replication")).includes("role:master"));
    const set = (): Promise<unknown> => redis.commands.run((client) => client.set("k", "after"));
    await until(async () => {
      const done = await failureOf(set());
      return done.code === "no error" && (await ask(second.port, "GET k")).includes("after");
    });
    await until(() => reconnected);
    await redis.close();
    for (const server of [sentinel, second, first]) await server.close();
  });
});

describeAdapter("connections by TLS", missingRedisServer() ?? missingOpenssl(), () => {
  let dir: string;
  let ca: Buffer;
  let server: TestRedis;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "atelier-tls-"));
    const certificate = makeTestCertificate(dir);
    ca = readFileSync(certificate.cert);
    server = await startTestRedis({ tls: certificate });
  });
  afterAll(async () => {
    await server.close();
    rmSync(dir, { recursive: true });
  });

  it("[RD11] the certificate is checked, by URL and by single fields", async () => {
    const url = `rediss://localhost:${server.port}`;
    expect(await answers(connect({ url, tls: { ca } }))).toBe(true);
    expect(await answers(connect({ host: "localhost", port: server.port, tls: { ca } }))).toBe(true);
    for (const options of [{ url }, { host: "localhost", port: server.port, tls: true }]) {
      expect((await failureOf(connect(options).ping())).code).toBe("dependency_unavailable");
    }
    expect(errors.map((error) => (error as { code?: unknown }).code)).toContain(
      "DEPTH_ZERO_SELF_SIGNED_CERT",
    );
  });

  it("[RD11] closing in the middle of a handshake is harmless", async () => {
    for (let ms = 0; ms < 30; ms += 1) {
      const redis = connect({ url: `rediss://localhost:${server.port}` });
      await new Promise((resolve) => setTimeout(resolve, ms));
      await redis.close();
    }
  });
});

describeAdapter("connections to Redis", missingRedisServer(), () => {
  let server: TestRedis;
  beforeAll(async () => {
    server = await startTestRedis();
  });
  afterAll(() => server.close());

  it("[RD4] calls right after the start wait for the first connection", async () => {
    const redis = connect({ url: server.url });
    const calls = Array.from({ length: 20 }, (_, i) =>
      redis.commands.run((client) => client.set(`k${i}`, i)),
    );
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 20 }, () => "OK"));
  });

  it("[RD5] name, password and number of the database come from the URL or from single fields", async () => {
    const name = "user@1";
    const password = "p/ss:w%rd";
    const admin = connect({ url: server.url });
    await admin.commands.run((client) =>
      client.call("ACL", "SETUSER", name, "on", `>${password}`, "~*", "&*", "+@all"),
    );
    await admin.commands.run((client) => client.call("ACL", "SETUSER", "default", "off"));
    try {
      expect((await failureOf(connect({ url: server.url }).ping())).code).toBe("dependency_unavailable");
      const secret = `${encodeURIComponent(name)}:${encodeURIComponent(password)}`;
      for (const options of [
        { url: `redis://${secret}@127.0.0.1:${server.port}/3` },
        { host: "127.0.0.1", port: server.port, username: name, password, db: 3 },
        { url: `redis://127.0.0.1:${server.port}`, username: name, password, db: 3 },
      ]) {
        const info = await connect(options).commands.run((client) => client.client("INFO"));
        expect(info).toMatch(/ name=atelier .* db=3 /);
        expect(info).toContain(` user=${name} `);
      }
    } finally {
      await admin.commands.run((client) => client.call("ACL", "SETUSER", "default", "on"));
    }
  });

  it("[RD6] a command whose link broke fails and is never sent again", async () => {
    const redis = connect({ url: server.url });
    await redis.ping();
    server.freeze();
    const failure = await failureOf(redis.commands.run((client) => client.incr("counter")));
    expect(failure.code).toBe("dependency_unavailable");
    expect(failure.ms).toBeLessThan(2_000);
    server.thaw();
    await until(() => answers(redis));
    // The server may have read it after it thawed, but only once.
    expect([null, "1"]).toContain(await redis.commands.run((client) => client.get("counter")));
  });

  it("[RD6] a server that accepts connections but never answers is away within 2 s from the start", async () => {
    server.freeze();
    const redis = connect({ url: server.url });
    const failure = await failureOf(redis.ping());
    expect(failure.code).toBe("dependency_unavailable");
    expect(failure.ms).toBeLessThan(2_000);
    server.thaw();
    await until(() => answers(redis));
  });

  it("[RD6] behind slow commands a call fails within 2 s although the link is alive", async () => {
    const redis = connect({ url: server.url });
    const slow = Array.from({ length: 3 }, () =>
      failureOf(redis.commands.run((client) => client.blpop("nothing", 0.9))),
    );
    const [first, , last] = await Promise.all(slow);
    expect(first?.code).toBe("no error");
    expect(last?.code).toBe("dependency_unavailable");
    expect(last?.ms).toBeLessThan(2_000);
  });

  it("[RD7] a script answers, and its failure is dependency_unavailable with the reason as cause", async () => {
    const redis = connect({ url: server.url });
    const echo = redis.script("testEcho", 1, "return {KEYS[1], ARGV[1], ARGV[2]}");
    const fails = redis.script("testFails", 0, "return redis.error_reply('WRONG on purpose')");
    expect(await echo(["k"], ["a", 2])).toEqual(["k", "a", "2"]);
    await expect(fails([], [])).rejects.toMatchObject({
      code: "dependency_unavailable",
      extensions: { dependency: "redis" },
      cause: expect.objectContaining({ message: expect.stringContaining("on purpose") }),
    });
  });

  it("[RD8] after closing no connection is left and calls are refused", async () => {
    const admin = connect({ url: server.url });
    const redis = connect({ url: server.url, connectionName: "closing" });
    await redis.ping();
    const names = async (): Promise<string> =>
      String(await admin.commands.run((client) => client.client("LIST")));
    await until(async () => (await names()).split("name=closing").length === 3);
    const pending = redis.commands.run((client) => client.blpop("nothing", 0.9));
    await redis.close();
    expect(await pending).toBeNull();
    expect((await failureOf(redis.ping())).code).toBe("dependency_unavailable");
    await until(async () => !(await names()).includes("name=closing"));
  });

  it("[RD8] a client that has ended although nobody closed it is opened again", async () => {
    const redis = connect({ url: server.url });
    await redis.ping();
    const ended = new Promise((resolve) => redis.commands.client.once("end", resolve));
    redis.commands.client.disconnect();
    await ended;
    await until(() => answers(redis));
  });

  it("[RD9] another client for a library has its own settings and the same place", async () => {
    const redis = connect({ url: server.url });
    const client = redis.connect({ maxRetriesPerRequest: null });
    expect(await client.ping()).toBe("PONG");
    expect(client.options).toMatchObject({ maxRetriesPerRequest: null });
    client.disconnect();
  });
});
