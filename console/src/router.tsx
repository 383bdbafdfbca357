import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { AcceptInvitation } from "./auth/accept-invitation.js";
import { ForgotPassword } from "./auth/forgot-password.js";
import { ResetPassword } from "./auth/reset-password.js";
import { SignIn } from "./auth/sign-in.js";
import { SignInLink } from "./auth/sign-in-link.js";
import { SignUp } from "./auth/sign-up.js";
import { VerifyEmail } from "./auth/verify-email.js";
import { client } from "./data/client.js";
import { ProjectsPage } from "./projects/projects-page.js";
import { AppFrame } from "./shell/app-frame.js";
import { PageError, PageNotFound, Root } from "./shell/page-states.js";
import { Loading } from "./ui/feedback.js";

/** Where to go after signing in: a path of this console, nothing else. */
function backTo(search: Record<string, unknown>): { readonly back?: string } {
  const { back } = search;
  return typeof back === "string" && /^\/(?![/\\])/.test(back) ? { back } : {};
}

const root = createRootRoute({ component: Root, notFoundComponent: PageNotFound });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    redirect({ to: client.auth.user ? "/projects" : "/sign-in", replace: true, throw: true });
  },
});

/** Pages for people who are not signed in; others are sent on. */
const door = createRoute({
  getParentRoute: () => root,
  id: "door",
  validateSearch: backTo,
  beforeLoad: ({ search }) => {
    if (client.auth.user) redirect({ href: search.back ?? "/projects", replace: true, throw: true });
  },
});
const signIn = createRoute({ getParentRoute: () => door, path: "/sign-in", component: SignIn });
const signUp = createRoute({ getParentRoute: () => door, path: "/sign-up", component: SignUp });

/** Pages for both. */
const forgot = createRoute({
  getParentRoute: () => root,
  path: "/forgot-password",
  component: ForgotPassword,
});
const reset = createRoute({ getParentRoute: () => root, path: "/reset-password", component: ResetPassword });
const verify = createRoute({ getParentRoute: () => root, path: "/verify-email", component: VerifyEmail });
const accept = createRoute({
  getParentRoute: () => root,
  path: "/invitations/accept",
  component: AcceptInvitation,
});

const link = createRoute({ getParentRoute: () => root, path: "/sign-in-link", component: SignInLink });

const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  component: AppFrame,
  errorComponent: PageError,
  beforeLoad: ({ location }) => {
    if (!client.auth.user)
      redirect({ to: "/sign-in", search: { back: location.href }, replace: true, throw: true });
  },
});
const projects = createRoute({
  getParentRoute: () => app,
  path: "/projects",
  component: ProjectsPage,
  staticData: { crumb: "Projects" },
});
const project = createRoute({ getParentRoute: () => app, path: "/projects/$projectId" });
const overview = createRoute({
  getParentRoute: () => project,
  path: "/",
  component: lazyRouteComponent(() => import("./projects/overview-page.js"), "OverviewPage"),
  staticData: { crumb: "Overview" },
});
const workspaces = createRoute({
  getParentRoute: () => project,
  path: "/workspaces",
  component: lazyRouteComponent(() => import("./workspaces/workspaces-page.js"), "WorkspacesPage"),
  staticData: { crumb: "Workspaces" },
});
const members = createRoute({
  getParentRoute: () => project,
  path: "/members",
  component: lazyRouteComponent(() => import("./projects/members-page.js"), "MembersPage"),
  staticData: { crumb: "Members" },
});
const settings = createRoute({
  getParentRoute: () => project,
  path: "/settings",
  component: lazyRouteComponent(() => import("./projects/settings-page.js"), "SettingsPage"),
  staticData: { crumb: "Settings" },
});
const account = createRoute({
  getParentRoute: () => app,
  path: "/account",
  component: lazyRouteComponent(() => import("./account/account-page.js"), "AccountPage"),
  staticData: { crumb: "Account" },
});
const devices = createRoute({
  getParentRoute: () => app,
  path: "/account/devices",
  component: lazyRouteComponent(() => import("./account/devices-page.js"), "DevicesPage"),
  staticData: { crumb: "Devices" },
});

const projectJobs = createRoute({
  getParentRoute: () => project,
  path: "/jobs",
  component: lazyRouteComponent(() => import("./jobs/jobs-pages.js"), "ProjectJobsPage"),
  staticData: { crumb: "Jobs" },
});
const activity = createRoute({
  getParentRoute: () => project,
  path: "/activity",
  component: lazyRouteComponent(() => import("./activity/activity-page.js"), "ActivityPage"),
  staticData: { crumb: "Activity" },
});
const jobs = createRoute({
  getParentRoute: () => app,
  path: "/jobs",
  component: lazyRouteComponent(() => import("./jobs/jobs-pages.js"), "MyJobsPage"),
  staticData: { crumb: "My jobs" },
});
const job = createRoute({
  getParentRoute: () => app,
  path: "/jobs/$jobId",
  component: lazyRouteComponent(() => import("./jobs/job-page.js"), "JobPage"),
  staticData: { crumb: "Job" },
});
const system = createRoute({
  getParentRoute: () => app,
  path: "/system",
  component: lazyRouteComponent(() => import("./system/system-page.js"), "SystemPage"),
  staticData: { crumb: "System" },
});
const workspace = createRoute({
  getParentRoute: () => app,
  path: "/workspaces/$workspaceId",
  validateSearch: ({ file }: Record<string, unknown>): { readonly file?: string } =>
    typeof file === "string" ? { file } : {},
  component: lazyRouteComponent(() => import("./editor/workspace-page.js"), "WorkspacePage"),
});

/** Every address of the console. */
export const router = createRouter({
  routeTree: root.addChildren([
    home,
    door.addChildren([signIn, signUp]),
    forgot,
    reset,
    verify,
    accept,
    link,
    app.addChildren([
      projects,
      project.addChildren([overview, workspaces, members, projectJobs, activity, settings]),
      workspace,
      jobs,
      job,
      account,
      devices,
      system,
    ]),
  ]),
  defaultPreload: "intent",
  defaultPendingComponent: Loading,
  defaultErrorComponent: PageError,
  defaultNotFoundComponent: PageNotFound,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface StaticDataRouteOption {
    /** The last step of the way to the page. */
    crumb?: string;
  }

  interface Register {
    router: typeof router;
  }
}
