import { createClient } from "atelier-client";
import { createToasts } from "../ui/toast.js";

/** The service this page came from, as the account that is signed in here. */
export const client = createClient();

/** Short messages of this page. */
export const toasts = createToasts();
