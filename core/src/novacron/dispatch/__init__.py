"""The entry point for all operations: `Dispatcher.invoke` checks a call, runs the policies and calls the driver's hook."""
