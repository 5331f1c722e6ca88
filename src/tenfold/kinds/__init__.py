"""Component kinds: one module each, with Spec, demand, lower and visit. The table is written by hand."""

from types import ModuleType

from tenfold.kinds import client, external, load_balancer, log, postgres, redis, service

KINDS: dict[str, ModuleType] = {
    kind.NAME: kind for kind in (client, load_balancer, service, redis, postgres, external, log)
}
