// Ends this process when its standard input does: when the test that holds the other end is gone, however it ended.
process.stdin.resume();
process.stdin.on('close', () => process.exit());
