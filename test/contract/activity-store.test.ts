import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { v4, v7 } from "uuid";
import type { ActivityEntry, ActivityQuery } from "../../src/activity/store/activity-store.js";
import { type ActivityStoresTarget, activityStoresKinds, expectUnavailable } from "../kit/activity-stores.js";

const START = Date.UTC(2026, 0, 1);

function entry(fields: Partial<ActivityEntry> & { readonly projectId: string }): ActivityEntry {
  return { id: v7(), userId: null, type: "file_saved", payload: {}, createdAt: START, ...fields };
}

function ids(entries: readonly ActivityEntry[]): readonly string[] {
  return entries.map(({ id }) => id);
}

for (const kind of activityStoresKinds()) {
  const suite = kind.missing === undefined ? describe : describe.skip;
  const title = `activity store on ${kind.name}${kind.missing === undefined ? "" : `: ${kind.missing}`}`;

  suite(title, () => {
    let target: ActivityStoresTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(async () => {
      await target.close();
    });
    const append = (...entries: ActivityEntry[]) => target.activity.append(entries);
    const list = (query: Partial<ActivityQuery> & { readonly projectId: string }) =>
      target.activity.list({ limit: 100, ...query });

    it("[AS1] an entry appended again is kept once, as it was first", async () => {
      const first = entry({ projectId: v7(), userId: v7(), payload: { name: "a.ts" }, createdAt: START + 7 });
      await append(first);
      await append({ ...first, payload: { name: "changed" }, createdAt: START + 8 });
      expect(await list({ projectId: first.projectId })).toEqual([first]);
    });

    it("[AS2] a batch that is partly known adds only what is new, wherever that stands in it", async () => {
      const projectId = v7();
      const [a, b, c, d] = [1, 2, 3, 4].map((n) => entry({ projectId, createdAt: START + n })) as [
        ActivityEntry,
        ActivityEntry,
        ActivityEntry,
        ActivityEntry,
      ];
      await append(b, d);
      await append(d, a, b, c, c);
      expect(await list({ projectId })).toEqual([d, c, b, a]);
    });

    it("[AS2] a batch of any size is kept, an empty one too", async () => {
      const projectId = v7();
      const many = Array.from({ length: 1203 }, (_, n) => entry({ projectId, createdAt: START + n }));
      await append();
      await append(...many);
      const newest = await list({ projectId, limit: 1000 });
      expect(ids(newest)).toEqual(ids(many.slice(-1000).reverse()));
    });

    it("[AS3] entries come newest first, those of one moment by id, the largest first", async () => {
      const projectId = v7();
      const old = entry({ projectId, createdAt: START });
      const same = Array.from({ length: 5 }, () => entry({ projectId, id: v4(), createdAt: START + 1 }));
      const young = entry({ projectId, createdAt: START + 2 });
      await append(...same, young, old);
      const sorted = ids(same).toSorted().reverse();
      expect(ids(await list({ projectId }))).toEqual([young.id, ...sorted, old.id]);
      expect(ids(await list({ projectId, limit: 3 }))).toEqual([young.id, ...sorted.slice(0, 2)]);
    });

    it("[AS4] walking 1,000 entries of one moment gives each exactly once while others are appended", async () => {
      const projectId = v7();
      const before = Array.from({ length: 1000 }, () => entry({ projectId, id: v4() }));
      await append(...before);
      const walked: string[] = [];
      let position: ActivityQuery["before"];
      for (;;) {
        const page = await list({ projectId, limit: 37, ...(position ? { before: position } : {}) });
        walked.push(...ids(page));
        const last = page.at(-1);
        if (last === undefined) break;
        position = { createdAt: last.createdAt, id: last.id };
        await append(
          entry({ projectId, id: v4() }),
          entry({ projectId, id: v4(), createdAt: START + 1 }),
          entry({ projectId, id: v4(), createdAt: START - 1 }),
        );
        if (walked.length > 2000) throw new Error("the walk does not end");
      }
      const known = new Set(ids(before));
      expect(walked.filter((id) => known.has(id)).toSorted()).toEqual([...known].toSorted());
      expect(new Set(walked).size).toBe(walked.length);
    });

    it("[AS5] type, user, since (inclusive) and until (exclusive) narrow the list, alone and together", async () => {
      const projectId = v7();
      const [ada, bob] = [v7(), v7()];
      const a = entry({ projectId, userId: ada, type: "member_added", createdAt: START + 1 });
      const b = entry({ projectId, userId: bob, type: "member_added", createdAt: START + 2 });
      const c = entry({ projectId, userId: ada, type: "file_saved", createdAt: START + 3 });
      const d = entry({ projectId, userId: null, type: "member_added", createdAt: START + 4 });
      await append(a, b, c, d);
      expect(await list({ projectId, type: "member_added" })).toEqual([d, b, a]);
      expect(await list({ projectId, userId: ada })).toEqual([c, a]);
      expect(await list({ projectId, since: START + 2 })).toEqual([d, c, b]);
      expect(await list({ projectId, until: START + 3 })).toEqual([b, a]);
      expect(
        await list({ projectId, since: START + 1, until: START + 4, type: "member_added", userId: ada }),
      ).toEqual([a]);
      expect(await list({ projectId, type: "member_added", limit: 1, before: d })).toEqual([b]);
      expect(await list({ projectId, type: "nothing" })).toEqual([]);
      expect(
        await list({ projectId, since: -Number.MAX_VALUE, until: Number.POSITIVE_INFINITY }),
      ).toHaveLength(4);
    });

    it("[AS6] a project's list and its removal do not touch another project", async () => {
      const [mine, yours] = [entry({ projectId: v7() }), entry({ projectId: v7() })];
      await append(mine, yours);
      expect(await list({ projectId: mine.projectId })).toEqual([mine]);
      await target.activity.deleteProject(mine.projectId);
      expect(await list({ projectId: mine.projectId })).toEqual([]);
      expect(await list({ projectId: yours.projectId })).toEqual([yours]);
    });

    it("[AS7] the removal of a project leaves nothing, however much there was, and may be repeated", async () => {
      const projectId = v7();
      await append(...Array.from({ length: 2100 }, () => entry({ projectId })));
      await target.activity.deleteProject(projectId);
      await target.activity.deleteProject(projectId);
      expect(await list({ projectId })).toEqual([]);
    });

    it("[AS8] any JSON object comes back as it was given", async () => {
      const projectId = v7();
      const text = `{"__proto__":{"admin":true},"constructor":{"prototype":{"x":1}},"toJSON":"no function",
        "$where":"sleep(1)","$set":{"a.b":1},"a.b.$c":[{"$ne":null}],"":"empty key","_bsontype":"ObjectId",
        "_id":"0","nul\\u0000key":"nul\\u0000value","lone":"\\ud800","text":"\u00e9 \u4e2d \ud83d\ude80 \u202e","10":1,"2":2,
        "numbers":[0,-1.5,1e300,9007199254740993,5e-324],"date":"2026-01-01T00:00:00.000Z","null":null,"no":false}`;
      const payload = JSON.parse(text) as Record<string, unknown>;
      let deep: Record<string, unknown> = { leaf: true };
      for (let depth = 0; depth < 1300; depth++) deep = { deep };
      const odd = entry({ projectId, payload: { ...payload, deep }, createdAt: START + 1 });
      const proto = entry({ projectId, payload, createdAt: START });
      await append(odd, proto);
      const [readOdd, readProto] = await list({ projectId });
      expect(JSON.stringify(readOdd?.payload)).toBe(JSON.stringify(odd.payload));
      expect(JSON.stringify(readProto?.payload)).toBe(JSON.stringify(payload));
      expect(Object.hasOwn(readProto?.payload ?? {}, "__proto__")).toBe(true);
    });

    it("[AS9] an object or another wrong value where text belongs matches nothing and removes nothing", async () => {
      const kept = entry({ projectId: v7(), userId: v7() });
      await append(kept);
      const wrong = [
        { $ne: null },
        { $gt: "" },
        { $regex: ".*" },
        [kept.projectId],
        null,
        true,
        0,
        "",
        "%",
        "\0",
        "x'--",
      ];
      for (const value of wrong) {
        const text = value as unknown as string;
        expect(await list({ projectId: text })).toEqual([]);
        expect(await list({ projectId: kept.projectId, userId: text })).toEqual([]);
        expect(await list({ projectId: kept.projectId, type: text })).toEqual([]);
        expect(await list({ projectId: kept.projectId, before: { createdAt: START + 9, id: text } })).toEqual(
          [],
        );
        await target.activity.deleteProject(text);
      }
      const number = { $gte: 0 } as unknown as number;
      expect(await list({ projectId: kept.projectId, since: number })).toEqual([]);
      expect(await list({ projectId: kept.projectId, until: number })).toEqual([]);
      expect(await list({ projectId: kept.projectId, limit: number })).toEqual([]);
      expect(await list({ projectId: kept.projectId })).toEqual([kept]);
    });

    it("[AS10] a batch with an entry of the wrong form is refused whole", async () => {
      const projectId = v7();
      const wrong: Record<string, readonly unknown[]> = {
        id: [{ $ne: null }, "1", undefined],
        projectId: [{ $ne: null }, "p", null],
        userId: [{ $ne: null }, "u", undefined],
        type: ["", "nul\0", "x".repeat(201), { $ne: null }],
        payload: [null, [], "text"],
        createdAt: [Number.NaN, -1, 1.5, new Date(), "1"],
      };
      for (const [field, values] of Object.entries(wrong)) {
        for (const value of values) {
          const bad = { ...entry({ projectId }), [field]: value } as ActivityEntry;
          await expect(append(entry({ projectId }), bad)).rejects.toThrow(TypeError);
        }
      }
      expect(await list({ projectId })).toEqual([]);
    });

    it("[AS11] ids mean the same in either case", async () => {
      const one = entry({ projectId: v7(), userId: v7() });
      await append({ ...one, id: one.id.toUpperCase(), projectId: one.projectId.toUpperCase() });
      await append(one);
      const query = { projectId: one.projectId.toUpperCase(), userId: one.userId?.toUpperCase() ?? "" };
      expect(await list(query)).toEqual([one]);
    });

    it("[AS12] a page has at most 1,000 entries, and a limit below 1 gives none", async () => {
      const projectId = v7();
      await append(...Array.from({ length: 1010 }, () => entry({ projectId })));
      expect(await list({ projectId, limit: 5000 })).toHaveLength(1000);
      expect(await list({ projectId, limit: 2.9 })).toHaveLength(2);
      for (const limit of [0, -1, Number.NaN]) expect(await list({ projectId, limit })).toEqual([]);
    });

    it("[AS13] a server that is stopped means dependency_unavailable in time, and works again when it is back", async () => {
      const [before, after] = [entry({ projectId: v7() }), entry({ projectId: v7() })];
      await append(before);
      await target.door.stop();
      await expectUnavailable(append(after));
      await expectUnavailable(list({ projectId: before.projectId }));
      await expectUnavailable(target.activity.deleteProject(before.projectId));
      await expectUnavailable(target.activity.ping());
      await target.door.restore();
      await append(before, after);
      expect(await list({ projectId: before.projectId })).toEqual([before]);
      expect(await list({ projectId: after.projectId })).toEqual([after]);
      await target.activity.ping();
    });

    it("[AS13] a server that no longer answers is no different", async () => {
      const [before, after] = [entry({ projectId: v7() }), entry({ projectId: v7() })];
      await append(before);
      target.door.stall();
      await Promise.all([
        expectUnavailable(append(after)),
        expectUnavailable(list({ projectId: before.projectId })),
        expectUnavailable(target.activity.ping()),
      ]);
      await expectUnavailable(append(after));
      await target.door.restore();
      await append(before, after);
      expect(await list({ projectId: after.projectId })).toEqual([after]);
    });
  });
}
