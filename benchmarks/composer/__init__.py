"""The same work through Composer's ``RemoteUploaderDownloader`` and through ours, against the same server."""
