import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { createLogMailer } from "../../src/platform/mail/log.js";
import type { Mail, Mailer } from "../../src/platform/mail/mailer.js";
import { createSmtpMailer } from "../../src/platform/mail/smtp.js";
import { type SmtpCatcher, startSmtpCatcher } from "../kit/smtp.js";

const MAIL: Mail = {
  to: "ada@example.com",
  subject: "Reset your password",
  text: "Open http://localhost:3000/reset?token=rst1.abc\n.\nThe end: é ✓",
};
const FROM = "Atelier <no-reply@atelier.test>";

/** A mailer and what came out of it. */
interface Rig {
  readonly mailer: Mailer;
  /** One text per mail, with its recipients, subject and text in it. */
  sent(): readonly string[];
  close(): Promise<void>;
}

async function openSmtp(): Promise<Rig> {
  const catcher = await startSmtpCatcher();
  const mailer = createSmtpMailer({ url: catcher.url, from: FROM });
  return {
    mailer,
    sent: () => catcher.mails.map(({ to, data }) => `${to.join()}\n${decode(data)}`),
    async close() {
      await mailer.close();
      await catcher.close();
    },
  };
}

function openLog(): Promise<Rig> {
  const mails: string[] = [];
  const mailer = createLogMailer({ write: (text) => mails.push(text) });
  return Promise.resolve({
    mailer,
    sent: () => mails.map((mail) => mail.replace(/^ {2}(?:\| )?/gm, "")),
    close: () => mailer.close(),
  });
}

/** Undoes quoted-printable. */
function decode(data: string): string {
  const bytes = data
    .replace(/=\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_all, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

const NO_BARE_ADDRESSES: readonly string[] = [
  "",
  "ada",
  "@example.com",
  "ada@",
  "ada@example.com,eve@example.org",
  "ada@example.com;eve@example.org",
  "ada@example.com eve@example.org",
  "ada@eve.org@example.com",
  "Ada <ada@example.com>",
  "<ada@example.com>",
  "friends:ada@example.com;",
  "ada(comment)@example.com",
  "ada@example.com(comment)",
  '"ada"@example.com',
  '"ada@eve.org"@example.com',
  "ada@example.com\r\nRCPT TO:<eve@example.org>",
  "ada@example.com\n",
  " ada@example.com",
  "ada@example.com\0",
  "a\tda@example.com",
  "ada\\@eve.org@example.com",
  "ada@[127.0.0.1]",
  "ada@127.0.0.1",
  "ada@-example.com",
  "ada@example..com",
  "ada@example.com.",
  ".ada@example.com",
  "a..da@example.com",
  "eve.org!ada@example.com",
  "ada%eve.org@example.com",
  "ada\uff20example.com",
  "ad\u0430@example.com",
  "ada@ex\u0430mple.com",
  "ada@example.com\u2028eve",
  "=?utf-8?q?ada=40eve.org?=@example.com?",
  `${"a".repeat(65)}@example.com`,
  `ada@${"a".repeat(64)}.com`,
  `ada@${"a.".repeat(130)}com`,
];

describe.each([
  { name: "SMTP", open: openSmtp },
  { name: "the log", open: openLog },
])("the mailer on $name", ({ open }) => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await open();
  });
  afterEach(() => rig.close());

  it("[ML1] brings recipient, subject and text, the link in it untouched", async () => {
    await rig.mailer.send(MAIL);
    expect(rig.sent()).toHaveLength(1);
    const [sent] = rig.sent();
    expect(sent).toContain("ada@example.com");
    expect(sent).toContain("Reset your password");
    expect(sent).toContain(MAIL.text);
  });

  it.each(NO_BARE_ADDRESSES)("[ML2] refuses %j, which is not one bare address", async (to) => {
    await expect(rig.mailer.send({ ...MAIL, to })).rejects.toMatchObject({ code: "unprocessable" });
    expect(rig.sent()).toEqual([]);
  });

  it.each(["a@b", "o'brien+tag@mail.example.com", "x_y.z@xn--bcher-kva.example", `${"a".repeat(64)}@b.cc`])(
    "[ML2] takes %j",
    async (to) => {
      await rig.mailer.send({ ...MAIL, to });
      expect(rig.sent()[0]).toContain(to);
    },
  );
});

describe("the mailer on SMTP", () => {
  let catcher: SmtpCatcher;
  let mailer: Mailer;

  beforeEach(async () => {
    catcher = await startSmtpCatcher();
    mailer = createSmtpMailer({ url: catcher.url, from: FROM, waitMs: 400 });
  });
  afterEach(async () => {
    await mailer.close();
    await catcher.close();
  });

  it("[ML3] keeps a subject one header line and the recipient the only one", async () => {
    await mailer.send({ ...MAIL, subject: "Hi\r\nBcc: eve@example.org\r\n\r\nbody" });
    const [mail] = catcher.mails;
    const header = mail?.data.split("\n\n")[0] ?? "";
    expect(mail?.to).toEqual(["ada@example.com"]);
    expect(header).toContain("Subject: Hi Bcc: eve@example.org body");
    expect(header).not.toMatch(/^Bcc:/im);
  });

  it("[ML4] says who sends, that a machine does, and not with which program", async () => {
    await mailer.send(MAIL);
    const [mail] = catcher.mails;
    expect(mail?.from).toBe("no-reply@atelier.test");
    expect(mail?.data).toContain(`From: ${FROM}`);
    expect(mail?.data).toContain("Auto-Submitted: auto-generated");
    expect(mail?.data).not.toMatch(/nodemailer|x-mailer/i);
  });

  it("[ML5] brings text and HTML as alternatives, and reads no file and no address for them", async () => {
    await mailer.send({ ...MAIL, html: "<p>Open <b>it</b></p>" });
    expect(catcher.mails[0]?.data).toContain("multipart/alternative");
    expect(catcher.mails[0]?.data).toContain("<p>Open <b>it</b></p>");
    const hostile = [{ path: new URL(import.meta.url).pathname }, { href: catcher.url }];
    for (const text of hostile) {
      await expect(mailer.send({ ...MAIL, text: text as unknown as string })).rejects.toThrow();
    }
    expect(catcher.mails).toHaveLength(1);
  });

  it("[ML6] keeps its connection for the next mail", async () => {
    await mailer.send(MAIL);
    await mailer.send(MAIL);
    expect(catcher.mails).toHaveLength(2);
    expect(catcher.connections).toBe(1);
  });

  it.each([
    ["RCPT TO", "550 no such user", "unprocessable"],
    ["RCPT TO", "450 busy", "dependency_unavailable"],
    ["MAIL FROM", "550 not you", "dependency_unavailable"],
    ["DATA", "554 spam", "unprocessable"],
    ["DATA", "451 later", "dependency_unavailable"],
    ["MAIL FROM", undefined, "dependency_unavailable"],
  ])("[ML7] to %s answered with %s it rejects with %s", async (command, reply, code) => {
    catcher.answer(command, reply);
    await expect(mailer.send(MAIL)).rejects.toMatchObject({ code });
    await mailer.send({ ...MAIL, subject: "the next" });
    expect(catcher.mails.map(({ data }) => /^Subject: (.*)$/m.exec(data)?.[1])).toEqual(["the next"]);
  });

  it("[ML8] rejects with dependency_unavailable while there is no server", async () => {
    const { url } = catcher;
    await catcher.close();
    const lonely = createSmtpMailer({ url, from: FROM, waitMs: 400 });
    await expect(lonely.send(MAIL)).rejects.toMatchObject({ code: "dependency_unavailable" });
    await lonely.close();
    catcher = await startSmtpCatcher();
  });
});

describe("the mailer on the log", () => {
  it("[ML9] takes out what a terminal would act on", async () => {
    const mails: string[] = [];
    const mailer = createLogMailer({ write: (text) => mails.push(text) });
    const subject = "\u001b]0;title\u0007\u001b[31mred\u202e";
    await mailer.send({ ...MAIL, subject, text: "a\r\n\u009b2Jb" });
    expect(mails).toEqual([
      "Mail to ada@example.com (SMTP_URL is not set)\n  ]0;title[31mred\n  | a\n  | 2Jb",
    ]);
  });
});
