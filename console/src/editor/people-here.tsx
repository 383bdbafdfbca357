import { useEffect, useState } from "react";
import type { Awareness } from "y-protocols/awareness";
import { Avatars } from "../ui/avatar.js";

interface Person {
  readonly userId: string;
  readonly name: string;
}

/** Who else has the file open. */
export function PeopleHere({ awareness }: { readonly awareness: Awareness }) {
  const [people, setPeople] = useState<readonly Person[]>([]);
  useEffect(() => {
    const look = () => {
      const found = new Map<string, Person>();
      for (const [client, state] of awareness.getStates()) {
        const user = (state as { user?: { id?: string; name?: string } }).user;
        if (client === awareness.clientID || !user?.id) continue;
        found.set(user.id, { userId: user.id, name: user.name ?? "Somebody" });
      }
      setPeople((before) => (same(before, [...found.values()]) ? before : [...found.values()]));
    };
    look();
    awareness.on("change", look);
    return () => awareness.off("change", look);
  }, [awareness]);
  if (people.length === 0) return null;
  return (
    <span className="row" data-testid="people-here">
      <Avatars people={people} most={3} />
      <span className="visually-hidden">also have this file open</span>
    </span>
  );
}

function same(a: readonly Person[], b: readonly Person[]): boolean {
  return a.length === b.length && a.every(({ userId }, index) => userId === b[index]?.userId);
}
