"""``RemoteUploaderDownloader`` as a real subclass of Composer's ``LoggerDestination``.

For type checkers, and for those who prefer a base class to a registered one; ``rud.RemoteUploaderDownloader`` does the
same work without it. Needs Composer, which nothing else here imports.
"""

# mypy: disallow-subclassing-any=False
# Without Composer at hand, mypy sees nothing of the base.

from __future__ import annotations

import composer.loggers as theirs  # type: ignore[import-not-found]  # no dependency of ours, and not installed for checks

from rud import remote_uploader_downloader as ours


class RemoteUploaderDownloader(ours.RemoteUploaderDownloader, theirs.LoggerDestination):
    """See ``rud.RemoteUploaderDownloader``; Composer's own class takes it for a subclass."""


theirs.RemoteUploaderDownloader.register(RemoteUploaderDownloader)
