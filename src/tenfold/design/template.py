"""The file `tenfold new NAME` writes: a small shop, commented, that can be sized, reviewed and simulated as it is."""

import re

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 _.()/-]*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null"}

_TEXT = """\
# yaml-language-server: $schema=.tenfold/schema.json
#
# The design of one system. It is sized, reviewed and simulated from this file, and a running service reads its
# policies from it. Every value has its unit; a range such as 10..20 says that you are not sure.
#
#   tenfold size FILE        how many of everything, and why
#   tenfold review FILE      what will go wrong
#   tenfold simulate FILE    watch it go wrong
tenfold: 1
title: @TITLE@

requirements:
  users: 2M                         # daily active
  peak: 3x                          # busiest second / average second
  headroom: 30%                     # spare on top of the peak
  data:
    # size and count of one kind of thing; popularity says how unequal the demand for them is
    product: {size: 4 KB, count: 500k, popularity: zipf 0.9}
    order:   {size: 1 KB, count: 0.05/user/day, keep: 3 years, copies: 2, index: 40%}

components:
  lb:            {kind: load_balancer, replicas: 2}
  shop:          {kind: service, replicas: 4, cores: 4, workers: 64}
  product_cache: {kind: redis, nodes: 2, memory: 4 GB, holds: product, ttl: 10 min, ttl_jitter: 10%, lock: true}
  shop_db:       {kind: postgres, cores: 16, pool: 100, replicas: 1}
  payments:      {kind: external}   # somebody else's: it may be slow, and it may fail
  mail_q:        {kind: log, partitions: 24}
  mailer:        {kind: service, replicas: 2, workers: 16}

# One flow per operation, from top to bottom. `through` and `run` wait for the steps after them.
flows:
  view_product:
    rate: 20..40/user/day
    steps:
      - through: lb
      - run: shop
        cpu: 2 ms                   # a bare duration is a mean
      - get: product_cache
        on_miss:
          - query: shop_db
            takes: {p50: 3 ms, p99: 20 ms}
            data: product
          - set: product_cache
  place_order:
    rate: 0.05/user/day
    steps:
      - through: lb
      - run: shop
        cpu: 5 ms
      - call: payments
        takes: {p50: 120 ms, p99: 900 ms}
        errors: 0.5%                # it fails on its own that often
      - insert: shop_db
        takes: 4 ms
        data: order
      - publish: mail_q             # the customer does not wait for the mail
  send_mail:
    trigger: mail_q                 # once per message
    steps:
      - run: mailer
        cpu: 3 ms

# What a caller does about a callee that is slow or fails. An arrow is caller -> callee.
policies:
  client -> lb:          {timeout: 5 s}
  shop -> product_cache: {timeout: 50 ms, on_failure: miss}
  shop -> shop_db:
    timeout: 1 s
    bulkhead: {in_flight: 25, queue: 50}      # per instance of shop
  shop -> payments:
    timeout: 3 s
    circuit_breaker: {failures: 5, open: 30 s}

slo:
  view_product: {p99: 250 ms, availability: 99.9%}
  place_order:  {p99: 3 s, availability: 99.5%}

scenarios:
  slow_database:
    lasts: 10 min
    load: peak                      # or average, 2x, or {0 min: 1x, 2 min: 3x}
    faults:
      - {at: 3 min, slow: shop_db, by: 10x, for: 1 min}
    expect:
      - recovers within 60 s
      - view_product.errors < 5%
"""


def template(title: str) -> str:
    """A design file to start from.

    Args:
        title: what the system is called, any text; line ends and control characters become spaces.
    """
    shown = " ".join("".join(char if char.isprintable() else " " for char in title).split()) or "Untitled"
    if not _PLAIN.fullmatch(shown) or shown.lower() in _WORDS:
        shown = "'" + shown.replace("'", "''") + "'"
    return _TEXT.replace("@TITLE@", shown)
