import type { PresentUser } from "atelier-client";
import { Avatars } from "../ui/avatar.js";

/** The other members who are here now. */
export function PresenceBar({ people }: { readonly people: readonly PresentUser[] }) {
  if (people.length === 0) return null;
  const names = people.map(({ name }) => name).join(", ");
  return (
    <span className="presence" title={`Here now: ${names}`}>
      <Avatars people={people} />
      <span className="visually-hidden">Here now: {names}</span>
    </span>
  );
}
