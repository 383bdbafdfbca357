import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { queries } from "../data/queries.js";
import { signOut } from "../data/session.js";
import { PageHead } from "../shell/page.js";
import { Button } from "../ui/button.js";
import { ConfirmDialog } from "../ui/confirm-dialog.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Skeleton } from "../ui/feedback.js";
import { Icon } from "../ui/icon.js";
import { Ago } from "../ui/time.js";

/** Where the account is signed in. */
export function DevicesPage() {
  const { data, error, refetch } = useQuery(queries.devices());
  const [asking, setAsking] = useState(false);
  const end = useAction((id: string) => client.sessions.end(id), {
    keys: [["devices"]],
    toast: true,
    done: "The device was signed out.",
  });
  const endAll = useAction(() => client.auth.logoutAll({ keepCurrent: true }), {
    keys: [["devices"]],
    done: "Every other device was signed out.",
    onSuccess: () => setAsking(false),
  });
  return (
    <>
      <PageHead
        title="Devices"
        about="Where you are signed in. A device you sign out here loses access at once."
        actions={
          data &&
          data.length > 1 && (
            <Button icon="logout" onClick={() => setAsking(true)}>
              Sign out all others
            </Button>
          )
        }
      />
      {error && <ErrorNotice error={error} onRetry={() => void refetch()} />}
      <section className="card" aria-label="Devices">
        {!data && !error && <Skeleton />}
        <ul className="list">
          {data?.map(({ id, name, ip, current, createdAt, lastUsedAt }) => (
            <li key={id} className="list-row">
              <Icon name="device" className="faint" />
              <span className="grow">
                <span className="row row-wrap">
                  {name} {current && <span className="badge badge-ok">This device</span>}
                </span>
                <span className="small muted block">
                  {ip ? `${ip} · ` : ""}signed in <Ago at={createdAt} /> · used <Ago at={lastUsedAt} />
                </span>
              </span>
              <Button
                small
                kind="quiet"
                busy={end.isPending && end.variables === id}
                aria-label={current ? "Sign out this device" : `Sign out ${name}`}
                onClick={() => (current ? void signOut() : end.mutate(id))}
              >
                Sign out
              </Button>
            </li>
          ))}
        </ul>
      </section>
      {asking && (
        <ConfirmDialog
          title="Sign out all other devices?"
          action="Sign them out"
          busy={endAll.isPending}
          error={endAll.error}
          onConfirm={() => endAll.mutate(undefined)}
          onClose={() => setAsking(false)}
        >
          You stay signed in here. Everywhere else the password has to be entered again.
        </ConfirmDialog>
      )}
    </>
  );
}
