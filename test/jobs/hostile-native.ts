import { ANY_END, CPU, DISK, type HostileProgram, MEBIBYTE, type Row, rows } from "./hostile-kit.js";

const NATIVE_PYTHON: readonly Row[] = [
  ["an endless loop", "cpu_time_limit", "while True: pass", CPU],
  ["a fork bomb", "cpu_time_limit", "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", CPU],
  [
    "threads without end",
    ANY_END,
    "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
    { limits: { wallMs: 1000, cpuMs: 900 } },
  ],
  [
    "daemons",
    "ok",
    "import os, time\nfor _ in range(3):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    os.closerange(0, 9)\n    time.sleep(99)",
  ],
  [
    "deafness to signals",
    "wall_time_limit",
    "import signal, time\nfor s in (1, 2, 3, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(99)",
    { limits: { wallMs: 300 } },
  ],
  ["signals to everyone", ANY_END, "import os\nfor p in (1, 0, -1):\n  os.kill(p, 9)"],
  [
    "memory",
    "memory_limit",
    "a = []\nwhile True: a.append(bytes(1 << 20))",
    { limits: { memoryBytes: 96 * MEBIBYTE } },
  ],
  [
    "memory in files",
    "disk_limit",
    "n = 0\nwhile True:\n  open(f'/tmp/{n}', 'wb').write(bytes(1 << 20))\n  n += 1",
  ],
  ["a full disk", "disk_limit", "f = open('f', 'wb')\nwhile True: f.write(bytes(65536))", DISK],
  ["a flood", "output_limit", "while True: print('x' * 100)"],
  [
    "the environment of all",
    "ok",
    "import glob\nprint(any(b'CANARY' in open(p, 'rb').read() for p in glob.glob('/proc/*/environ')))",
    { stdout: "False\n" },
  ],
  ["a file of the host", "nonzero_exit", "print(open('{{SECRET}}').read())"],
  ["a socket", "nonzero_exit", "import socket\nsocket.create_connection(('127.0.0.1', {{PORT}}), 1)"],
  ["a socket by ctypes", "ok", "import ctypes\nprint(ctypes.CDLL(None).socket(2, 1, 0))", { stdout: "-1\n" }],
  [
    "a mount, a namespace, a trace",
    "ok",
    "import ctypes\nl = ctypes.CDLL(None)\nprint(l.unshare(0x10000000), l.mount(0, 0, 0, 0, 0), l.ptrace(0, 0, 0, 0), l.syscall(321, 0, 0, 0))",
    { stdout: "-1 -1 -1 -1\n" },
  ],
  ["a device", "nonzero_exit", "import os, stat\nos.mknod('d', 0o600 | stat.S_IFBLK, os.makedev(8, 0))"],
  ["writing to the system", "nonzero_exit", "open('/usr/bin/x', 'w')"],
  ["a set-user-id program", ANY_END, "import os\nos.execv('/usr/bin/passwd', ['passwd', '-S'])"],
];
const NATIVE_NODE: readonly Row[] = [
  ["an endless loop", "cpu_time_limit", "for (;;);", CPU],
  [
    "memory",
    "memory_limit",
    "const a = []; for (;;) a.push(Buffer.alloc(1e6, 1));",
    { limits: { memoryBytes: 96 * MEBIBYTE, cpuMs: 9000 } },
  ],
  [
    "the parent's environment",
    "ok",
    'import fs from "node:fs"; console.log(process.env.BATTERY_CANARY, process.ppid, fs.readFileSync("/proc/1/environ", "utf8"))',
    { stdout: "undefined 1 \n" },
  ],
  [
    "a connection",
    "nonzero_exit",
    'import { connect } from "node:net"; connect({{PORT}}, "127.0.0.1").on("connect", () => process.exit(0)).on("error", () => process.exit(3));',
  ],
  [
    "worker threads",
    ANY_END,
    'import { Worker } from "node:worker_threads"; for (let n = 0; n < 200; n++) new Worker("for(;;);", { eval: true });',
    { limits: { cpuMs: 600 } },
  ],
];
const NATIVE_C: readonly Row[] = [
  ["an endless loop", "cpu_time_limit", "int main(void) { for (;;); }", { limits: { cpuMs: 400 } }],
  ["a wild pointer", "runtime_error", "int main(void) { *(volatile int *)8 = 1; }"],
  ["a header without end", ANY_END, '#include "/dev/zero"\nint main(void) {}', { limits: { cpuMs: 1500 } }],
  ["a secret as a header", "compile_error", '#include "{{SECRET}}"\nint main(void) {}'],
  ["a secret in the binary", "compile_error", 'int main(void) {}\n__asm__(".incbin \\"{{SECRET}}\\"");'],
];

/** Programs of the native languages. */
export const HOSTILE_NATIVE: readonly HostileProgram[] = [
  ...rows("python-native", NATIVE_PYTHON),
  ...rows("node-native", NATIVE_NODE),
  ...rows("c-native", NATIVE_C),
];
