import { cpuMicros, quantile, sleep } from "./process.mjs";

const TIME = Buffer.from('"t":');
const PAYLOAD_BYTES = 200;
/** Receivers whose events' timestamps are read: from the first that joined to the last. */
const SAMPLED = 10;
const SETTLE_MS = 3_000;

/**
 * Load on one room: one sender, many receivers. An event's payload is JSON of 200 bytes (or as many as given) and holds the
 * time it was sent, so servers that merge messages are measured rightly.
 */
export class Fanout {
  /** Over all rooms: an id is an idempotency key, so one that comes again would be acknowledged and not delivered. */
  static #lastId = 0;
  #sent = 0;
  #acks = 0;
  #latencies = [];
  #onLast = undefined;

  /** @param {{target: import("./targets.mjs").Target, receivers: object[], sender: object, payloadBytes?: number}} room */
  constructor({ target, receivers, sender, payloadBytes = PAYLOAD_BYTES }) {
    this.target = target;
    this.payloadBytes = payloadBytes;
    this.receivers = receivers;
    this.sender = sender;
    sender.onFrame((_opcode, buffer, start, end) => {
      if (target.isAck(buffer, start, end)) this.#acks += 1;
    });
    receivers.forEach((client) => {
      client.events = 0;
    });
    const step = Math.max(1, Math.floor(receivers.length / SAMPLED));
    receivers.forEach((client, index) => {
      const last = index === receivers.length - 1;
      const sampled = last || index % step === 0;
      client.onFrame((_opcode, buffer, start, end) => {
        if (!target.isEvent(buffer, start, end)) return;
        client.events += 1;
        if (sampled) this.#latencies.push(nowMicros() - sentAt(buffer, start, end));
        if (last) this.#onLast?.();
      });
    });
  }

  /** Keeps `outstanding` events under way, counted at the receiver that joined last, for `seconds`. */
  async closedLoop({ outstanding, seconds }) {
    return this.#measure(async () => {
      let going = true;
      this.#onLast = () => {
        if (going) this.#send();
      };
      for (let i = 0; i < outstanding; i += 1) this.#send();
      await sleep(seconds * 1_000);
      going = false;
    });
  }

  /** Sends `rate` events a second for `seconds`, whatever the server does. */
  async openLoop({ rate, seconds }) {
    return this.#measure(async () => {
      this.#onLast = undefined;
      const started = performance.now();
      const total = Math.round(rate * seconds);
      for (let sent = 0; sent < total; ) {
        const due = Math.min(total, Math.floor(((performance.now() - started) / 1_000) * rate) + 1);
        for (; sent < due; sent += 1) this.#send();
        await sleep(Math.max(1, Math.min(50, 1_000 / rate)));
      }
    });
  }

  async #measure(load) {
    for (const client of this.receivers) client.events = 0;
    this.#latencies = [];
    const [sentBefore, acks] = [this.#sent, this.#acks];
    const cpuBefore = cpuMicros(this.target.pid);
    const started = performance.now();
    await load();
    const sent = this.#sent - sentBefore;
    const settled = () => this.#acks - acks >= sent && this.receivers.every(({ events }) => events >= sent);
    const deadline = performance.now() + SETTLE_MS;
    while (!settled() && performance.now() < deadline) await sleep(2);
    const seconds = (performance.now() - started) / 1_000;
    const cpu = cpuMicros(this.target.pid) - cpuBefore;
    const deliveries = this.receivers.reduce((sum, { events }) => sum + events, 0);
    const latencies = this.#latencies;
    return {
      sent,
      deliveries,
      missing: sent * this.receivers.length - deliveries,
      unacked: sent - (this.#acks - acks),
      perSecond: deliveries / seconds,
      cpuPerDelivery: cpu / deliveries,
      cpuShare: cpu / 1e6 / seconds,
      p50: quantile(latencies, 0.5) / 1_000,
      p99: quantile(latencies, 0.99) / 1_000,
    };
  }

  #send() {
    this.#sent += 1;
    Fanout.#lastId += 1;
    const head = `{"t":${nowMicros()},"pad":"`;
    const payload = `${head}${"x".repeat(this.payloadBytes - head.length - 2)}"}`;
    this.sender.send(this.target.event(Fanout.#lastId, payload));
  }

  close() {
    for (const client of this.receivers) client.close();
    this.sender.close();
  }
}

function nowMicros() {
  return Math.round(performance.now() * 1_000);
}

/** Reads the digits after `"t":`. */
function sentAt(buffer, start, end) {
  let at = buffer.indexOf(TIME, start) + TIME.length;
  if (at < TIME.length || at >= end) return Number.NaN;
  let value = 0;
  for (; buffer[at] >= 0x30 && buffer[at] <= 0x39; at += 1) value = value * 10 + buffer[at] - 0x30;
  return value;
}

/** Throws when a server lost something: its numbers would mean nothing. */
export function complete(name, result) {
  if (result.missing > 0 || result.unacked > 0)
    throw new Error(
      `${name} lost ${result.missing} deliveries and ${result.unacked} acks of ${result.sent} events`,
    );
  return result;
}
