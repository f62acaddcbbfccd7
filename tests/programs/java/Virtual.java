// A thousand virtual threads that echo to a thousand others over blocking sockets. Compiled for
// Java 17, which has none: they are started by reflection, on a newer runtime. Each thread that
// would block is a one-shot registration of its poller.
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Method;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.channels.Selector;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

public final class Virtual {
    static final int THREADS = 1000;
    static final int ROUNDS = 12;
    static Method startVirtualThread;

    static Thread start(String name, Check.Body body) throws Exception {
        return (Thread) startVirtualThread.invoke(null, Check.body(name, body));
    }

    public static void main(String[] arguments) throws Exception {
        startVirtualThread = Thread.class.getMethod("startVirtualThread", Runnable.class);
        Selector witness = Selector.open();
        System.out.println("started");

        ServerSocket listener = new ServerSocket();
        listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), THREADS);
        CountDownLatch served = new CountDownLatch(THREADS);
        start("accept", () -> {
            for (int i = 0; i < THREADS; i++) {
                Socket socket = listener.accept();
                start("server", () -> {
                    byte[] buffer = new byte[4096];
                    try (socket) {
                        InputStream in = socket.getInputStream();
                        OutputStream out = socket.getOutputStream();
                        for (int count; (count = in.read(buffer)) >= 0; ) out.write(buffer, 0, count);
                    }
                    served.countDown();
                });
            }
        });

        CountDownLatch all = new CountDownLatch(THREADS), done = new CountDownLatch(THREADS);
        AtomicLong bytes = new AtomicLong();
        AtomicInteger timeouts = new AtomicInteger();
        for (int i = 0; i < THREADS; i++) {
            int id = i;
            start("client", () -> {
                try (Socket socket = new Socket(listener.getInetAddress(), listener.getLocalPort())) {
                    // All are connected before the first byte goes out.
                    all.countDown();
                    Check.that(all.await(150, TimeUnit.SECONDS), "not all are connected");
                    DataInputStream in = new DataInputStream(socket.getInputStream());
                    DataOutputStream out = new DataOutputStream(socket.getOutputStream());
                    Random sizes = new Random(id);
                    if (id % 10 == 0) {
                        // A read that times out, and the same descriptor registered again
                        // afterwards.
                        socket.setSoTimeout(5);
                        try {
                            in.read();
                            Check.fail("a byte that was never written", null);
                        } catch (SocketTimeoutException e) {
                            timeouts.incrementAndGet();
                        }
                        socket.setSoTimeout(150_000);
                    }
                    for (int round = 0; round < ROUNDS; round++) {
                        byte[] message = new byte[1 + sizes.nextInt(round == 5 ? 60_000 : 3_000)];
                        for (int k = 0; k < message.length; k++) message[k] = Check.at(id, round + k);
                        byte[] back = new byte[message.length];
                        // Larger messages are written by another thread while this one reads.
                        CountDownLatch wrote = new CountDownLatch(1);
                        Check.Body write = () -> {
                            out.write(message);
                            wrote.countDown();
                        };
                        if (round == 5) start("writer", write);
                        else write.run();
                        in.readFully(back);
                        Check.that(wrote.await(150, TimeUnit.SECONDS), "a write does not return");
                        for (int k = 0; k < back.length; k++) Check.that(back[k] == message[k], "a wrong byte");
                        bytes.addAndGet(back.length);
                        if (sizes.nextInt(3) == 0) Thread.sleep(1);
                    }
                }
                done.countDown();
            });
        }
        Check.that(done.await(200, TimeUnit.SECONDS), done.getCount() + " clients are not through");
        Check.that(served.await(60, TimeUnit.SECONDS), served.getCount() + " servers have not seen the end");
        Check.that(timeouts.get() == THREADS / 10, timeouts + " timeouts");

        // Closing a socket while a thread reads from it ends the read.
        final int closed = 50;
        CountDownLatch ended = new CountDownLatch(closed);
        for (int i = 0; i < closed; i++) {
            Socket client = new Socket(listener.getInetAddress(), listener.getLocalPort());
            Socket server = listener.accept();
            CountDownLatch reading = new CountDownLatch(1);
            start("reader", () -> {
                reading.countDown();
                try {
                    client.getInputStream().read();
                    Check.fail("a byte that was never written", null);
                } catch (java.net.SocketException e) {
                    ended.countDown();
                }
            });
            reading.await();
            if (i % 2 == 0) Thread.sleep(1);
            client.close();
            server.close();
        }
        Check.that(ended.await(60, TimeUnit.SECONDS), ended.getCount() + " reads of closed sockets go on");
        listener.close();
        witness.close();
        System.out.println("passed: java " + System.getProperty("java.version") + ": " + THREADS + " virtual threads, " + THREADS * ROUNDS
                + " messages, " + bytes + " bytes; " + closed + " closed while they read");
    }
}
