import { AppError } from "../../errors.js";
import type { HostOutcome, RunSink } from "./engine-host.js";
import { HostLost } from "./engine-host.js";
import { findLanguage, type NativeToolchainName } from "./languages.js";
import { createNativeLauncher, nativeObstacle } from "./native-launch.js";
import { superviseNative } from "./native-run.js";
import { NATIVE_TOOLCHAINS, toolchainVersion } from "./native-toolchains.js";
import type { Program } from "./program.js";
import type { RunResult } from "./sandbox.js";

/** Runs programs by this machine's own compilers and interpreters, behind the operating system alone. */
export interface NativeEngines {
  /** Why the language can never run here, or undefined; always undefined for one that is not native. */
  obstacle(language: string): string | undefined;
  /** Undefined for a language that is not native. Throws `unsupported_language` with the obstacle. */
  engineOf(language: string): RunResult["engine"] | undefined;
  /** Rejects with `HostLost` when the program could not be started. */
  run(program: Program, sink: RunSink, signal: AbortSignal): Promise<HostOutcome>;
}

/** The native engines of this machine; nothing is looked for unless they are enabled. */
export function createNativeEngines(enabled: boolean): NativeEngines {
  const launch = createNativeLauncher();
  const found = new Map<NativeToolchainName, { version: string } | { obstacle: string }>();

  function find(name: NativeToolchainName): { version: string } | { obstacle: string } {
    const known = found.get(name) ?? look(name);
    found.set(name, known);
    return known;
  }

  function look(name: NativeToolchainName): { version: string } | { obstacle: string } {
    if (!enabled) return { obstacle: "native languages are switched off (SANDBOX_NATIVE)" };
    const obstacle = nativeObstacle();
    if (obstacle !== undefined) return { obstacle };
    try {
      return { version: toolchainVersion(NATIVE_TOOLCHAINS[name]) };
    } catch (error) {
      return { obstacle: error instanceof Error ? error.message : String(error) };
    }
  }

  function obstacleOf(language: string): string | undefined {
    const name = findLanguage(language)?.native;
    const known = name === undefined ? undefined : find(name);
    return known !== undefined && "obstacle" in known ? known.obstacle : undefined;
  }

  return {
    obstacle: obstacleOf,
    engineOf(language) {
      const name = findLanguage(language)?.native;
      if (name === undefined) return undefined;
      const known = find(name);
      if ("obstacle" in known) {
        throw new AppError("unsupported_language", {
          detail: `${language} cannot run here: ${known.obstacle}.`,
        });
      }
      return { id: NATIVE_TOOLCHAINS[name].id, version: known.version, isolation: "native+os" };
    },
    async run(program, sink, signal) {
      const name = findLanguage(program.language)?.native;
      if (name === undefined) throw new HostLost("The language is not native", false);
      return superviseNative(await launch(NATIVE_TOOLCHAINS[name], program), program, sink, signal);
    },
  };
}
