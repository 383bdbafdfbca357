import type { Chance } from "./chance.js";
import type { Site } from "./site.js";

/** A fault of a store or of the network that ends by itself; resolves when it is over. */
export interface Fault {
  readonly name: string;
  make(site: Site, chance: Chance): Promise<void>;
}

const place = (site: Site, chance: Chance) => {
  const [first, ...others] = site.places;
  if (!first) throw new Error("a site without a place");
  return chance.pick([first, ...others]);
};

/** Faults of Redis, of PostgreSQL and of the ways between clients, nodes and stores. */
export const FAULTS: readonly [Fault, ...Fault[]] = [
  {
    name: "Redis is killed and comes back",
    async make({ redis }, chance) {
      await redis.stop("SIGKILL");
      await chance.pause(100, 1_500);
      await redis.restart();
    },
  },
  {
    name: "Redis restarts",
    async make({ redis }, chance) {
      await redis.stop("SIGTERM");
      await chance.pause(50, 500);
      await redis.restart();
    },
  },
  {
    name: "a node does not hear Redis",
    async make(site, chance) {
      const { redis } = place(site, chance);
      redis.stall();
      await chance.pause(500, 3_000);
      await redis.restore();
    },
  },
  {
    name: "connections to Redis are reset",
    async make(site, chance) {
      place(site, chance).redis.cut();
    },
  },
  {
    name: "PostgreSQL is killed and comes back",
    async make({ postgres }, chance) {
      await postgres.stop("kill");
      await chance.pause(50, 1_000);
      await postgres.start();
    },
  },
  {
    name: "PostgreSQL restarts at once",
    async make({ postgres }, chance) {
      await postgres.stop("immediate");
      await chance.pause(50, 500);
      await postgres.start();
    },
  },
  { name: "a process of PostgreSQL is killed", make: ({ postgres }) => postgres.killBackend() },
  {
    name: "PostgreSQL is slow",
    async make(site, chance) {
      const { postgres } = place(site, chance);
      postgres.slow(chance.between(20, 150));
      await chance.pause(500, 2_000);
      await postgres.restore();
    },
  },
  {
    name: "a node does not hear PostgreSQL",
    async make(site, chance) {
      const { postgres } = place(site, chance);
      postgres.stall();
      await chance.pause(500, 3_500);
      await postgres.restore();
    },
  },
  {
    name: "connections to PostgreSQL are reset",
    async make(site, chance) {
      place(site, chance).postgres.cut();
    },
  },
  {
    name: "connections of clients are reset",
    async make(site, chance) {
      place(site, chance).clients.cut();
    },
  },
  {
    name: "clients are far away",
    async make(site, chance) {
      const { clients } = place(site, chance);
      clients.slow(chance.between(50, 300), chance.between(20_000, 200_000));
      await chance.pause(1_000, 3_000);
      await clients.restore();
    },
  },
  {
    name: "clients hear nothing",
    async make(site, chance) {
      const { clients } = place(site, chance);
      clients.stall();
      await chance.pause(300, 2_000);
      await clients.restore();
    },
  },
  {
    name: "frames come in small pieces",
    async make(site, chance) {
      const { clients } = place(site, chance);
      clients.slice(chance.between(1, 40));
      await chance.pause(500, 2_000);
      await clients.restore();
    },
  },
];
