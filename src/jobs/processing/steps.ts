import { z } from "zod";

const column = z.string().regex(/^[^\0]{1,200}$/, "must have 1 to 200 characters and no NUL");
const value = z.union([
  z
    .string()
    .regex(/^[^\0]*$/)
    .max(10_000),
  z.number(),
  z.boolean(),
]);

const COMPARISONS = { "=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=" } as const;
const AGGREGATES = ["count", "count_distinct", "sum", "avg", "min", "max", "median"] as const;

const condition = z.union([
  z.strictObject({ column, op: z.enum(["=", "!=", "<", "<=", ">", ">=", "contains", "starts_with"]), value }),
  z.strictObject({ column, op: z.literal("in"), value: z.array(value).min(1).max(1_000) }),
  z.strictObject({ column, op: z.enum(["is_null", "not_null"]) }),
]);

const aggregate = z
  .strictObject({ fn: z.enum(AGGREGATES), column: column.optional(), as: column })
  .refine(({ fn, column: of }) => fn === "count" || of !== undefined, {
    path: ["column"],
    message: "name a column",
  });

/** One thing that happens to the rows. */
export const stepSchema = z.union([
  z.strictObject({
    filter: z.array(condition).min(1).max(20).meta({ description: "Rows all of this holds for." }),
  }),
  z.strictObject({
    select: z
      .array(z.union([column, z.strictObject({ column, as: column })]))
      .min(1)
      .max(200),
  }),
  z.strictObject({
    group: z.strictObject({ by: z.array(column).max(20), aggregates: z.array(aggregate).min(1).max(50) }),
  }),
  z.strictObject({
    sort: z
      .array(z.strictObject({ column, descending: z.boolean().optional() }))
      .min(1)
      .max(20),
  }),
  z.strictObject({
    join: z.strictObject({
      table: z.string().max(63).meta({ description: "One of `tables`." }),
      on: z
        .array(z.strictObject({ left: column, right: column }))
        .min(1)
        .max(10),
      kind: z.enum(["inner", "left"]).optional(),
    }),
  }),
  z.strictObject({ limit: z.int().min(0).max(10_000_000) }),
]);

/** A checked step. */
export type Step = z.output<typeof stepSchema>;
type Condition = z.output<typeof condition>;

/**
 * The SQL of the rows after each step, one for every step. Names are quoted identifiers and values literals, so nothing of a
 * step is ever read as SQL.
 */
export function compileSteps(steps: readonly Step[]): string[] {
  const parts: string[] = [];
  return steps.map((step, index) => {
    const before = index === 0 ? identifier("data") : identifier(`step ${index}`);
    parts.push(`${identifier(`step ${index + 1}`)} as (${stepSql(step, before)})`);
    return `with ${parts.join(", ")} from ${identifier(`step ${index + 1}`)}`;
  });
}

function stepSql(step: Step, before: string): string {
  if ("filter" in step) return `select * from ${before} where ${step.filter.map(conditionSql).join(" and ")}`;
  if ("select" in step) {
    const columns = step.select.map((each) =>
      typeof each === "string" ? identifier(each) : `${identifier(each.column)} as ${identifier(each.as)}`,
    );
    return `select ${columns.join(", ")} from ${before}`;
  }
  if ("group" in step) {
    const by = step.group.by.map(identifier);
    const aggregates = step.group.aggregates.map(({ fn, column: of, as }) => {
      const argument = of === undefined ? "*" : identifier(of);
      const call = fn === "count_distinct" ? `count(distinct ${argument})` : `${fn}(${argument})`;
      return `${call} as ${identifier(as)}`;
    });
    const grouping = by.length > 0 ? ` group by ${by.join(", ")}` : "";
    return `select ${[...by, ...aggregates].join(", ")} from ${before}${grouping}`;
  }
  if ("sort" in step) {
    const keys = step.sort.map(
      ({ column: key, descending }) => `${identifier(key)} ${descending ? "desc" : "asc"} nulls last`,
    );
    return `select * from ${before} order by ${keys.join(", ")}`;
  }
  if ("limit" in step) return `select * from ${before} limit ${step.limit}`;
  const { table, on, kind = "inner" } = step.join;
  const pairs = on.map(({ left, right }) => `l.${identifier(left)} = r.${identifier(right)}`);
  return `select l.*, r.* from ${before} l ${kind} join ${identifier(table)} r on ${pairs.join(" and ")}`;
}

function conditionSql(each: Condition): string {
  const name = identifier(each.column);
  switch (each.op) {
    case "is_null":
      return `${name} is null`;
    case "not_null":
      return `${name} is not null`;
    case "in":
      return `${name} in (${each.value.map(literal).join(", ")})`;
    case "contains":
    case "starts_with":
      return `${each.op}(cast(${name} as varchar), ${literal(String(each.value))})`;
    default:
      return `${name} ${COMPARISONS[each.op]} ${literal(each.value)}`;
  }
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function literal(each: string | number | boolean): string {
  return typeof each === "string" ? `'${each.replaceAll("'", "''")}'` : String(each);
}
