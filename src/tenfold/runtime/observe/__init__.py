"""What pipelines and caches do, for those who watch: Prometheus, OpenTelemetry, listeners of decisions."""
