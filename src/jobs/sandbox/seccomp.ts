import { arch } from "node:process";

// Classic BPF over `struct seccomp_data { int nr; u32 arch; u64 ip; u64 args[6] }`, see seccomp(2).
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const EAFNOSUPPORT = 0x00050061;
const NUMBER = 0;
const ARCHITECTURE = 4;
const argument = (index: number) => 16 + 8 * index;
const AF_UNIX = 1;
const CLONE_THREAD = 0x10000;
// New namespaces of every kind.
const CLONE_NEW_ANY = 0x7e020080;
const X32_BIT = 0x40000000;

type Numbers = readonly [x64: number | undefined, arm64: number | undefined];

const AUDIT: Numbers = [0xc000003e, 0xc00000b7];
const SOCKET: Numbers = [41, 198];
const CLONE: Numbers = [56, 220];
const CLONE3: Numbers = [435, 435];
const FORKS: Readonly<Record<string, Numbers>> = { fork: [57, undefined], vfork: [58, undefined] };
const DENIED: Readonly<Record<string, Numbers>> = {
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  kcmp: [312, 272],
  pidfd_getfd: [438, 438],
  chroot: [161, 51],
  pivot_root: [155, 41],
  mount: [165, 40],
  umount2: [166, 39],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  unshare: [272, 97],
  setns: [308, 268],
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  reboot: [169, 142],
  swapon: [167, 224],
  swapoff: [168, 225],
  acct: [163, 89],
  quotactl: [179, 60],
  mknod: [133, undefined],
  mknodat: [259, 33],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  mbind: [237, 235],
  set_mempolicy: [238, 237],
  migrate_pages: [256, 238],
  move_pages: [279, 239],
  syslog: [103, 116],
  vhangup: [153, 58],
  modify_ldt: [154, undefined],
  iopl: [172, undefined],
  ioperm: [173, undefined],
  personality: [135, 92],
  settimeofday: [164, 170],
  adjtimex: [159, 171],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  sethostname: [170, 161],
  setdomainname: [171, 162],
};

/**
 * A system call filter as bubblewrap takes it: threads, no processes unless they are allowed, Unix sockets only, and none
 * of the calls by which kernels were attacked. Undefined where the numbers of the calls are not known.
 */
export function seccompProgram(
  architecture: string = arch,
  { processes = false }: { readonly processes?: boolean } = {},
): Buffer | undefined {
  const column = ["x64", "arm64"].indexOf(architecture);
  const numberOf = (call: Numbers) => (column === -1 ? undefined : call[column]);
  const [audit, socket, clone, clone3] = [AUDIT, SOCKET, CLONE, CLONE3].map(numberOf);
  if (audit === undefined || socket === undefined || clone === undefined || clone3 === undefined)
    return undefined;
  const denied = Object.values(processes ? DENIED : { ...FORKS, ...DENIED }).flatMap(
    (call) => numberOf(call) ?? [],
  );
  const rules: [code: number, ifTrue: number, ifFalse: number, value: number][] = [
    [LOAD, 0, 0, ARCHITECTURE],
    [JUMP_EQUAL, 1, 0, audit],
    [RETURN, 0, 0, KILL],
    [LOAD, 0, 0, NUMBER],
    // The x32 interface has other numbers for the same calls.
    [JUMP_AT_LEAST, 0, 1, X32_BIT],
    [RETURN, 0, 0, KILL],
    ...denied.flatMap((call): [number, number, number, number][] => [
      [JUMP_EQUAL, 0, 1, call],
      [RETURN, 0, 0, EPERM],
    ]),
    // Its flags lie in memory, out of reach of a filter; the C library then falls back to clone.
    [JUMP_EQUAL, 0, 1, clone3],
    [RETURN, 0, 0, ENOSYS],
    [JUMP_EQUAL, 0, 4, clone],
    [LOAD, 0, 0, argument(0)],
    // Either "no namespace of its own", or "a thread".
    processes ? [JUMP_ANY_BIT, 1, 0, CLONE_NEW_ANY] : [JUMP_ANY_BIT, 0, 1, CLONE_THREAD],
    [RETURN, 0, 0, ALLOW],
    [RETURN, 0, 0, EPERM],
    [JUMP_EQUAL, 0, 4, socket],
    [LOAD, 0, 0, argument(0)],
    [JUMP_EQUAL, 0, 1, AF_UNIX],
    [RETURN, 0, 0, ALLOW],
    [RETURN, 0, 0, EAFNOSUPPORT],
    [RETURN, 0, 0, ALLOW],
  ];
  const program = Buffer.alloc(rules.length * 8);
  rules.forEach(([code, ifTrue, ifFalse, value], index) => {
    program.writeUInt16LE(code, index * 8);
    program.writeUInt8(ifTrue, index * 8 + 2);
    program.writeUInt8(ifFalse, index * 8 + 3);
    program.writeUInt32LE(value, index * 8 + 4);
  });
  return program;
}
