import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { queries } from "../data/queries.js";
import { mayWrite } from "../projects/role-badge.js";
import { PageHead } from "../shell/page.js";
import { Empty } from "../ui/feedback.js";
import { JobTable } from "./job-table.js";
import { NewJobMenu } from "./new-job-menu.js";

/** Every job of the account. */
export function MyJobsPage() {
  return (
    <>
      <PageHead
        title="My jobs"
        about="Everything you have run, in projects and on your own."
        actions={<NewJobMenu />}
      />
      <JobTable
        empty={
          <Empty
            icon="terminal"
            title="You have run nothing yet"
            action={
              <Link to="/projects" className="btn btn-primary">
                To your projects
              </Link>
            }
          >
            Open a file of a workspace and press Run, or hand in a job here. What it says and makes is kept
            here.
          </Empty>
        }
      />
    </>
  );
}

/** Every job of a project. */
export function ProjectJobsPage() {
  const { projectId } = useParams({ from: "/app/projects/$projectId/jobs" });
  const project = useQuery(queries.project(projectId));
  const writes = mayWrite(project.data?.role);
  return (
    <>
      <PageHead
        title="Jobs"
        about="What members have run in this project."
        actions={writes && <NewJobMenu projectId={projectId} />}
      />
      <JobTable
        projectId={projectId}
        empty={
          <Empty icon="terminal" title="Nothing was run yet">
            {writes
              ? "Open a file of a workspace and press Run, or hand in a job here."
              : "Collaborators and Owners can run code in workspaces; you will see it here."}
          </Empty>
        }
      />
    </>
  );
}
