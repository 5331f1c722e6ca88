"""The asyncio and threads shell around the policies, for production services."""
