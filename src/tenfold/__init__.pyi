# What type checkers see of the lazy names in __init__.py; a test keeps the two equal.
from tenfold.api import compare as compare
from tenfold.api import explain as explain
from tenfold.api import load as load
from tenfold.api import new as new
from tenfold.api import saved as saved
from tenfold.api import schema as schema
from tenfold.api import simulate as simulate
from tenfold.api import simulate_many as simulate_many
from tenfold.api import size as size
from tenfold.errors import CallRejected as CallRejected
from tenfold.errors import DesignError as DesignError
from tenfold.errors import UsageError as UsageError
from tenfold.runtime.attempt import within as within
from tenfold.runtime.cache.cache import Cache as Cache
from tenfold.runtime.pipeline import Pipeline as Pipeline
from tenfold.runtime.threads import ThreadPipeline as ThreadPipeline

__version__: str
