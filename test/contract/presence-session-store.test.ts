import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { v4, v7 } from "uuid";
import type { ConnectionSession } from "../../src/activity/store/presence-session-store.js";
import { type ActivityStoresTarget, activityStoresKinds, expectUnavailable } from "../kit/activity-stores.js";

const START = Date.UTC(2026, 0, 1);

function session(fields: Partial<ConnectionSession> & { readonly projectId: string }): ConnectionSession {
  return {
    id: v7(),
    userId: v7(),
    nodeId: "node-a",
    connectedAt: START,
    disconnectedAt: null,
    closeCode: null,
    ...fields,
  };
}

for (const kind of activityStoresKinds()) {
  const suite = kind.missing === undefined ? describe : describe.skip;
  const title = `presence session store on ${kind.name}${kind.missing === undefined ? "" : `: ${kind.missing}`}`;

  suite(title, () => {
    let target: ActivityStoresTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(async () => {
      await target.close();
    });
    const opened = (...sessions: ConnectionSession[]) => target.sessions.opened(sessions);
    const list = (projectId: string, limit = 100) => target.sessions.listByProject(projectId, limit);
    const closed = (id: string, disconnectedAt: number, closeCode: number) =>
      target.sessions.closed([{ id, disconnectedAt, closeCode }]);

    it("[CS1] a connection is recorded once, as it was first, in batches of any size", async () => {
      const projectId = v7();
      const [a, b] = [session({ projectId }), session({ projectId, connectedAt: START + 1 })];
      await opened(a);
      await opened({ ...a, nodeId: "node-b" }, b, b);
      await opened();
      expect(await list(projectId)).toEqual([b, a]);

      const crowd = v7();
      await opened(...Array.from({ length: 703 }, () => session({ projectId: crowd })));
      expect(await list(crowd, 1000)).toHaveLength(703);
    });

    it("[CS2] the first end of a connection is kept; an unknown one is ignored", async () => {
      const projectId = v7();
      const [a, b] = [session({ projectId, connectedAt: START + 1 }), session({ projectId })];
      await opened(a, b);
      await target.sessions.closed([
        { id: v7(), disconnectedAt: START + 5, closeCode: 1000 },
        { id: a.id, disconnectedAt: START + 5, closeCode: 4001 },
        { id: a.id, disconnectedAt: START + 6, closeCode: 1006 },
      ]);
      await closed(a.id, START + 9, 1001);
      await target.sessions.closed([]);
      expect(await list(projectId)).toEqual([{ ...a, disconnectedAt: START + 5, closeCode: 4001 }, b]);
    });

    it("[CS2] a connection that ended is not open again when its opening is recorded once more", async () => {
      const projectId = v7();
      const one = session({ projectId });
      await opened(one);
      await closed(one.id, START + 5, 1000);
      await opened(one);
      expect(await list(projectId)).toEqual([{ ...one, disconnectedAt: START + 5, closeCode: 1000 }]);
    });

    it("[CS2] a connection may be recorded after it ended, and many may end in one batch", async () => {
      const projectId = v7();
      const short = session({
        projectId,
        disconnectedAt: START + 1,
        closeCode: 1000,
        connectedAt: START + 9,
      });
      const many = Array.from({ length: 620 }, () => session({ projectId }));
      await opened(short, ...many);
      await target.sessions.closed(
        many.map(({ id }) => ({ id, disconnectedAt: START + 2, closeCode: 1001 })),
      );
      const [newest, ...rest] = await list(projectId, 1000);
      expect(newest).toEqual(short);
      expect(rest).toHaveLength(620);
      expect(new Set(rest.map((one) => `${one.disconnectedAt} ${one.closeCode}`))).toEqual(
        new Set([`${START + 2} 1001`]),
      );
    });

    it("[CS3] connections come newest first, those of one moment by id, of one project only", async () => {
      const projectId = v7();
      const same = Array.from({ length: 5 }, () => session({ projectId, id: v4() }));
      const young = session({ projectId, connectedAt: START + 1 });
      await opened(...same, young, session({ projectId: v7() }));
      const sorted = same.toSorted((a, b) => (a.id < b.id ? 1 : -1));
      expect(await list(projectId)).toEqual([young, ...sorted]);
      expect(await list(projectId.toUpperCase(), 2)).toEqual([young, sorted[0]]);
      for (const limit of [0, -1, Number.NaN]) expect(await list(projectId, limit)).toEqual([]);
    });

    it("[CS4] an object or another wrong value where text belongs matches and changes nothing", async () => {
      const projectId = v7();
      const one = session({ projectId });
      await opened(one);
      for (const value of [{ $ne: null }, { $gt: "" }, [projectId], null, "", "%", "\0"]) {
        const text = value as unknown as string;
        expect(await list(text)).toEqual([]);
        await expect(closed(text, START, 1000)).rejects.toThrow(TypeError);
        await expect(opened(session({ projectId, id: text }))).rejects.toThrow(TypeError);
        await expect(opened(session({ projectId: text }))).rejects.toThrow(TypeError);
        await expect(opened(session({ projectId, userId: text }))).rejects.toThrow(TypeError);
      }
      const number = { $gt: 0 } as unknown as number;
      await expect(closed(one.id, number, 1000)).rejects.toThrow(TypeError);
      await expect(closed(one.id, START, number)).rejects.toThrow(TypeError);
      await expect(closed(one.id, START, 70_000)).rejects.toThrow(TypeError);
      await expect(opened(session({ projectId, nodeId: "nul\0" }))).rejects.toThrow(TypeError);
      expect(await list(projectId)).toEqual([one]);
    });

    it("[CS5] a server that is away means dependency_unavailable in time, and works again when it is back", async () => {
      const projectId = v7();
      const [a, b] = [session({ projectId, connectedAt: START + 1 }), session({ projectId })];
      await opened(a);
      await target.door.stop();
      await Promise.all([
        expectUnavailable(opened(b)),
        expectUnavailable(closed(a.id, START + 5, 1000)),
        expectUnavailable(list(projectId)),
      ]);
      await target.door.restore();
      await opened(a, b);
      await closed(a.id, START + 5, 1000);
      expect(await list(projectId)).toEqual([{ ...a, disconnectedAt: START + 5, closeCode: 1000 }, b]);

      target.door.stall();
      await Promise.all([
        expectUnavailable(closed(b.id, START + 6, 1000)),
        expectUnavailable(list(projectId)),
      ]);
      await target.door.restore();
      await closed(b.id, START + 6, 1000);
      expect((await list(projectId))[1]?.disconnectedAt).toBe(START + 6);
    });
  });
}
