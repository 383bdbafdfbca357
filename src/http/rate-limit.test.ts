import { describe, expect, it } from "@jest/globals";
import { addressKey, plainAddress } from "./rate-limit.js";

describe("addresses", () => {
  it("[HTTP13] an IPv4 address counts for itself, however it is mapped", () => {
    expect([plainAddress("1.2.3.4"), addressKey("1.2.3.4"), addressKey("unknown")]).toEqual([
      "1.2.3.4",
      "1.2.3.4",
      "unknown",
    ]);
    for (const mapped of ["::ffff:1.2.3.4", "::FFFF:1.2.3.4", "::ffff:0102:0304", "0:0:0:0:0:ffff:1.2.3.4"])
      expect([mapped, plainAddress(mapped), addressKey(mapped)]).toEqual([mapped, "1.2.3.4", "1.2.3.4"]);
  });

  it("[HTTP14] an IPv6 address counts by its /64, however it is written", () => {
    const key = addressKey("2001:db8:0:1::1");
    for (const same of [
      "2001:db8:0:1:ffff:ffff:ffff:ffff",
      "2001:0DB8:0000:0001:0:0:0:2",
      "2001:db8:0:1::",
      "2001:db8:0:1:1::%eth0",
      "2001:db8:0:1::1.2.3.4",
    ])
      expect([same, addressKey(same)]).toEqual([same, key]);
    for (const other of ["2001:db8:0:2::1", "2001:db8::1:0:0:1", "2001:db8:1:1::1", "::1"])
      expect(addressKey(other)).not.toBe(key);
    expect(addressKey("::1")).toBe(addressKey("::2"));
    expect(addressKey("fe80::1%eth0")).toBe(addressKey("fe80::2%wlan0"));
    expect(addressKey("1::")).toBe(addressKey("1:0:0:0:5::"));
  });
});
