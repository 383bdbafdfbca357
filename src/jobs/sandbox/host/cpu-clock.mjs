/**
 * Processor time used since now, in milliseconds. Node counts it per process, compiler threads included; a program has one
 * thread, so it cannot have used more than the time that passed.
 * @returns {() => number}
 */
export function startCpuClock() {
  const cpu = process.cpuUsage();
  const wall = performance.now();
  return () => {
    const used = process.cpuUsage(cpu);
    return Math.min((used.user + used.system) / 1000, performance.now() - wall);
  };
}
