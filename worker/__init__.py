"""The worker: Celery processes that split, synthesize and assemble narrations."""

import os

# Products of matrices are small here and done by hundreds of threads side by side; a library that spreads each over all
# cores, and has these wait for one another in busy loops, takes more time from the others than it saves. It reads this
# when numpy is imported first.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
