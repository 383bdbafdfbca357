import type { BreakName } from "./breakage.js";
import type { Verdict } from "./verdict.js";

/** When an experiment is run: `ci` on every merge, `nightly` when there is time. */
export type ExperimentSet = "ci" | "nightly";

/** What an experiment is given. */
export interface Setting {
  /** Everything it does by chance comes from here, so the same seed makes the same faults. */
  readonly random: () => number;
  readonly seed: number;
  /** Kills of nodes that were asked for; default: as many as the experiment thinks fit. */
  readonly kills: number | undefined;
  readonly broken: BreakName | undefined;
  /** What is published is written anew, not compared. */
  readonly write: boolean;
  /** One line of what happens. */
  say(text: string): void;
  /** Told where logs were kept. */
  keepLogs(folder: string): void;
}

/** A fault, a promise, a measure. */
export interface Experiment {
  readonly name: string;
  /** One sentence. */
  readonly title: string;
  readonly set: ExperimentSet;
  /** After this many seconds it is given up. */
  readonly limitSeconds: number;
  /** Why it cannot be run here, or undefined when it can. */
  readonly missing?: () => string | undefined;
  run(setting: Setting): Promise<Verdict>;
}
