// Shared by the programs here: the first error in any thread ends the process and its verdict.
import java.util.concurrent.Callable;

final class Check {
    private Check() {}

    static void fail(String what, Throwable why) {
        synchronized (System.err) {
            System.err.println("FAILED: " + what);
            if (why != null) why.printStackTrace();
            System.err.flush();
        }
        Runtime.getRuntime().halt(1);
    }

    static void that(boolean right, String what) {
        if (!right) fail(what, new AssertionError(what));
    }

    interface Body {
        void run() throws Exception;
    }

    static Runnable body(String name, Body body) {
        return () -> {
            try {
                body.run();
            } catch (Throwable e) {
                fail(name, e);
            }
        };
    }

    static Thread thread(String name, Body body) {
        Thread thread = new Thread(body(name, body), name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    static void join(Thread thread) throws InterruptedException {
        thread.join(120_000);
        that(!thread.isAlive(), thread.getName() + " has not ended");
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + 60_000_000_000L;
        while (!condition.call()) {
            that(System.nanoTime() < end, what);
            Thread.sleep(1);
        }
    }

    /**
     * The byte at a position of a stream: differs from its neighbours, and from those of other
     * streams.
     */
    static byte at(int stream, long position) {
        return (byte) (position * 31 + (position >>> 8) * 7 + stream * 17);
    }
}
