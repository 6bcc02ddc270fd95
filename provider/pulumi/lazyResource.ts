import type { CheckedInputs } from "./checkInputs";
import type { Difference, Resource } from "./defineResource";
import type { PropertyBag } from "./propertyBag";
import { isCheckedAlready, isUnchanged, type ResourceRules } from "./rules";
import type { Session } from "./session";

/** What the adapter needs of a resource. */
export type Served = Pick<Resource, "create" | "read" | "update" | "delete"> & {
  check(session: Session, olds: PropertyBag, news: PropertyBag): Promise<CheckedInputs> | CheckedInputs;
  diff(session: Session, id: string, olds: PropertyBag, news: PropertyBag): Promise<Difference> | Difference;
};

/**
 * A resource whose definition, with schemas and requests, is loaded when its rules see that something is to be done:
 * loading it takes longer than checking and comparing hundreds of resources, of which most have not changed.
 */
export function lazyResource(rules: ResourceRules, load: () => Promise<Resource>): Served {
  return {
    async check(session, olds, news) {
      if (isCheckedAlready(rules, session, olds, news)) return { inputs: olds, failures: [] };
      return (await load()).check(session, olds, news);
    },
    async diff(session, id, olds, news) {
      session.knownIds.add(id);
      if (isUnchanged(rules, session, id, olds, news)) return { changes: [], replaces: [], deleteBeforeReplace: false };
      return (await load()).diff(session, id, olds, news);
    },
    async create(session, news) {
      return (await load()).create(session, news);
    },
    async read(session, id, olds) {
      session.knownIds.add(id);
      return (await load()).read(session, id, olds);
    },
    async update(session, id, olds, news) {
      session.knownIds.add(id);
      return (await load()).update(session, id, olds, news);
    },
    async delete(session, id, olds) {
      session.knownIds.add(id);
      await (await load()).delete(session, id, olds);
    },
  };
}
