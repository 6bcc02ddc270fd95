import { AgentHost } from "../fakes/agentHost";
import { lostGuestScenarios } from "./scenarios";

lostGuestScenarios("a host of processes", async () => {
  const host = await new AgentHost().start();
  const obstacle = host.isApart ? undefined : "the agent is not process 1 of a namespace of its own";
  return { host, driver: host.driver, obstacle, close: () => host.close() };
});
