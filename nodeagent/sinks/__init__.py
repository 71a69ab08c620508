"""Events out: what was decided is told to webhooks, Kafka and NATS, once and in order."""
