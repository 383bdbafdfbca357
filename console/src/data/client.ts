import { createClient } from "atelier-client";
import { createToasts } from "../ui/toast.js";

const socketsUrl = document.querySelector<HTMLMetaElement>('meta[name="atelier-sockets"]')?.content;

/** The service this page came from, as the account that is signed in here; the server has written into the page where its sockets are. */
export const client = createClient(socketsUrl ? { wsUrl: socketsUrl } : {});

/** Short messages of this page. */
export const toasts = createToasts();
