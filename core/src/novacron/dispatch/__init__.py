"""One door to every operation: `Dispatcher.invoke` checks it, runs the policies around it and calls the driver's hook."""
