import type { IncomingMessage } from "node:http";
import proxyaddr from "proxy-addr";

/** What `TRUST_PROXY` means to Express: a count of proxies, or addresses. */
export function trustSetting(trustProxy: string | undefined): number | string[] {
  if (trustProxy === undefined) return 0;
  return /^\d+$/.test(trustProxy) ? Number(trustProxy) : trustProxy.split(",").map((part) => part.trim());
}

/** The client's address of a request that does not go through Express, by the same rule. */
export function createAddressOf(trustProxy: string | undefined): (request: IncomingMessage) => string {
  const setting = trustSetting(trustProxy);
  if (setting === 0) return (request) => request.socket.remoteAddress ?? "";
  const trust =
    typeof setting === "number"
      ? (_address: string, hop: number) => hop < setting
      : proxyaddr.compile(setting);
  return (request) => proxyaddr(request, trust) ?? "";
}
