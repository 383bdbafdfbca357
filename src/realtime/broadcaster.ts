import type { EventConsumer } from "../events/dispatcher.js";
import type { Hub } from "./hub.js";

/**
 * Carries domain events from the outbox to the sockets of their project. The event's id is the stream's idempotency key,
 * so an event that is dispatched twice (the process died between append and cursor) is delivered once.
 */
export function createBroadcaster(hub: Hub): EventConsumer {
  return {
    name: "realtime",
    async handle(events) {
      for (const event of events) {
        if (event.projectId === null) continue;
        const { id, type, projectId, userId, payload } = event;
        const timestamp = new Date(event.createdAt).toISOString();
        await hub.publish(
          { sessionId: null, type, projectId, userId, payload, timestamp, id },
          `event:${id}`,
        );
      }
    },
  };
}
