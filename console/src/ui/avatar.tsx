import { classes } from "./button.js";

/** Colours people are told apart by; text on them is white and readable. */
const COLOURS = [
  "#3257c9",
  "#9a5200",
  "#0b7350",
  "#8438c0",
  "#b02f63",
  "#0b6980",
  "#6b5b00",
  "#a8352a",
] as const;

const given = new Map<string, string>();

/** The colour of a person, the same everywhere on this page; two people share one only when there are more of them than colours. */
export function colourOf(id: string): string {
  const known = given.get(id);
  if (known) return known;
  let hash = 0;
  for (const character of id) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) >>> 0;
  const taken = new Set(given.values());
  const order = COLOURS.map((_colour, index) => COLOURS[(hash + index) % COLOURS.length] ?? COLOURS[0]);
  const colour = order.find((each) => !taken.has(each)) ?? order[0] ?? COLOURS[0];
  given.set(id, colour);
  return colour;
}

/** A person as initials on their colour. */
export function Avatar({
  id,
  name,
  large,
}: {
  readonly id: string;
  readonly name: string;
  readonly large?: boolean;
}) {
  return (
    <span
      className={classes("avatar", large && "avatar-l")}
      style={{ background: colourOf(id) }}
      title={name}
      role="img"
      aria-label={name}
      data-initials={initials(name)}
    />
  );
}

/** A few people, and how many more. */
export function Avatars({
  people,
  most = 4,
}: {
  readonly people: readonly { readonly userId: string; readonly name: string }[];
  readonly most?: number;
}) {
  const more = people.length - most;
  return (
    <span className="avatars">
      {people.slice(0, most).map(({ userId, name }) => (
        <Avatar key={userId} id={userId} name={name} />
      ))}
      {more > 0 && (
        <span
          className="avatar avatar-more"
          title={people
            .slice(most)
            .map(({ name }) => name)
            .join(", ")}
        >
          +{more}
        </span>
      )}
    </span>
  );
}

function initials(name: string): string {
  const parts = name.trim().split(/\s+/u);
  const first = Array.from(parts[0] ?? "")[0] ?? "?";
  const last = parts.length > 1 ? (Array.from(parts.at(-1) ?? "")[0] ?? "") : "";
  return `${first}${last}`.toUpperCase();
}
