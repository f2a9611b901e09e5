//! The task queue: RabbitMQ and in-process, behind one contract.
