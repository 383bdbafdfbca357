import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { queries } from "../data/queries.js";
import { PageHead } from "../shell/page.js";
import { Avatar } from "../ui/avatar.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Empty, Skeleton } from "../ui/feedback.js";
import { Icon } from "../ui/icon.js";
import { Ago } from "../ui/time.js";
import { DayChart } from "./day-chart.js";
import { FILTERS, sentenceOf } from "./sentences.js";

const DAYS = 30;
const DAY_MS = 86_400_000;

/** What happened in a project: by day, and one by one. */
export function ActivityPage() {
  const { projectId } = useParams({ from: "/app/projects/$projectId/activity" });
  const [type, setType] = useState("");
  const [userId, setUserId] = useState("");
  const members = useQuery(queries.members(projectId));
  const feed = useInfiniteQuery(
    queries.activity(projectId, { ...(type ? { type } : {}), ...(userId ? { userId } : {}) }),
  );
  const since = useMemo(() => new Date(startOfDay(Date.now()) - (DAYS - 1) * DAY_MS).toISOString(), []);
  const recent = useQuery(queries.recentActivity(projectId, since));
  const entries = feed.data?.pages.flatMap(({ items }) => items);
  const names = new Map(members.data?.map((member) => [member.userId, member.name]));
  return (
    <>
      <PageHead
        title="Activity"
        about="Everything that happened in the project. New entries come by themselves."
      />
      <div className="stack-l">
        {recent.data && recent.data.length > 0 && (
          <section className="card" aria-labelledby="by-day">
            <div className="card-head">
              <h2 id="by-day">The last {DAYS} days</h2>
            </div>
            <DayChart times={recent.data.map(({ timestamp }) => Date.parse(timestamp))} days={DAYS} />
          </section>
        )}
        <div className="row row-wrap">
          <select
            className="input input-small filter"
            aria-label="Kind"
            value={type}
            onChange={(event) => setType(event.target.value)}
          >
            <option value="">Everything</option>
            {FILTERS.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
          <select
            className="input input-small filter"
            aria-label="Person"
            value={userId}
            onChange={(event) => setUserId(event.target.value)}
          >
            <option value="">Everybody</option>
            {members.data?.map((member) => (
              <option key={member.userId} value={member.userId}>
                {member.name}
              </option>
            ))}
          </select>
        </div>
        {feed.error && <ErrorNotice error={feed.error} onRetry={() => void feed.refetch()} />}
        <section className="card" aria-label="Activity">
          {!entries && !feed.error && <Skeleton />}
          {entries?.length === 0 && (
            <Empty icon="clock" title="Nothing here">
              {type || userId
                ? "Nothing of this kind has happened. Choose “Everything” and “Everybody” to see all."
                : "What members do will stand here: new files, runs, changed roles."}
            </Empty>
          )}
          <ul className="list feed">
            {entries?.map((entry) => {
              const name =
                entry.userId === null ? "The service" : (names.get(entry.userId) ?? "A former member");
              return (
                <li key={entry.id} className="list-row">
                  {entry.userId ? (
                    <Avatar id={entry.userId} name={name} />
                  ) : (
                    <Icon name="gear" className="faint" />
                  )}
                  <span className="grow">
                    <strong>{name}</strong> {sentenceOf(entry)}
                  </span>
                  <span className="small muted">
                    <Ago at={entry.timestamp} />
                  </span>
                </li>
              );
            })}
          </ul>
        </section>
        {feed.hasNextPage && (
          <Button busy={feed.isFetchingNextPage} onClick={() => void feed.fetchNextPage()}>
            Show earlier
          </Button>
        )}
      </div>
    </>
  );
}

function startOfDay(time: number): number {
  return new Date(time).setHours(0, 0, 0, 0);
}
