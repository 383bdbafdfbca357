import type { Job } from "atelier-client";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { Button } from "../ui/button.js";
import { Icon } from "../ui/icon.js";
import { saveAs } from "../ui/save-as.js";
import { bytes } from "../ui/time.js";

/** Files a job made, to be downloaded. */
export function ArtifactList({ job }: { readonly job: Job }) {
  const download = useAction(
    async (name: string) => {
      const { bytes: content, contentType } = await client.call("getJobArtifact", {
        params: { jobId: job.id, name },
      });
      saveAs(name, content, contentType);
    },
    { toast: true },
  );
  if (job.artifacts.length === 0) return null;
  return (
    <section className="card" aria-labelledby="artifacts">
      <div className="card-head">
        <h2 id="artifacts">Files it made</h2>
      </div>
      <ul className="list">
        {job.artifacts.map(({ name, mediaType, size }) => (
          <li key={name} className="list-row">
            <Icon name={mediaType.startsWith("image/") ? "image" : "file"} className="faint" />
            <span className="grow">
              <span className="truncate block">{name}</span>
              <span className="small muted">
                {bytes(size)} · {mediaType.split(";")[0]}
              </span>
            </span>
            <Button
              small
              icon="download"
              busy={download.isPending && download.variables === name}
              aria-label={`Download ${name}`}
              onClick={() => download.mutate(name)}
            >
              Download
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
