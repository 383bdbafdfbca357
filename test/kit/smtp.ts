import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** One mail as an SMTP server got it. */
export interface CaughtMail {
  /** Address of MAIL FROM. */
  readonly from: string;
  /** Addresses of RCPT TO. */
  readonly to: readonly string[];
  /** Headers and body as they were sent, dots unstuffed, lines ended by LF. */
  readonly data: string;
}

/** A mail server on the loopback that delivers nothing. */
export interface SmtpCatcher {
  /** For `SMTP_URL`. */
  readonly url: string;
  readonly mails: readonly CaughtMail[];
  /** Connections that were made so far. */
  readonly connections: number;
  /** Answers the next command that begins with `command` with `reply`; undefined: with silence. */
  answer(command: string, reply: string | undefined): void;
  close(): Promise<void>;
}

/** Starts a mail server on a free port that takes every mail. */
export async function startSmtpCatcher(): Promise<SmtpCatcher> {
  const mails: CaughtMail[] = [];
  const sockets = new Set<Socket>();
  const prepared: { readonly command: string; readonly reply: string | undefined }[] = [];
  let connections = 0;

  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let from = "";
    let to: string[] = [];
    let lines: string[] | undefined;
    let rest = "";
    const say = (reply: string): void => void socket.write(`${reply}\r\n`);

    function command(line: string): void {
      const index = prepared.findIndex((entry) => line.toUpperCase().startsWith(entry.command));
      const [entry] = index < 0 ? [] : prepared.splice(index, 1);
      if (entry) return entry.reply === undefined ? undefined : say(entry.reply);
      const address = /<([^>]*)>/.exec(line)?.[1] ?? "";
      if (/^MAIL FROM/i.test(line)) [from, to] = [address, []];
      if (/^RCPT TO/i.test(line)) to.push(address);
      if (/^DATA/i.test(line)) {
        lines = [];
        return say("354 go on");
      }
      say(/^QUIT/i.test(line) ? "221 bye" : "250 ok");
    }

    socket.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\r\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        if (!lines) command(line);
        else if (line !== ".") lines.push(line.replace(/^\.\./, "."));
        else {
          mails.push({ from, to, data: lines.join("\n") });
          lines = undefined;
          say("250 taken");
        }
      }
    });
    say("220 catcher");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mails,
    get connections() {
      return connections;
    },
    answer: (command, reply) => void prepared.push({ command, reply }),
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}
