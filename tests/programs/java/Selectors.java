// java.nio's selectors from many threads: echo with changes of interest under a storm of wake-ups,
// keys cancelled and channels closed while another thread selects, interest changed from outside,
// timeouts, datagrams, rings of pipes, and asynchronous channels, which are one-shot registrations.
// Every byte and every count is compared.
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousChannelGroup;
import java.nio.channels.AsynchronousServerSocketChannel;
import java.nio.channels.AsynchronousSocketChannel;
import java.nio.channels.CompletionHandler;
import java.nio.channels.DatagramChannel;
import java.nio.channels.Pipe;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

public final class Selectors {
    static final InetAddress HERE = InetAddress.getLoopbackAddress();

    interface Ready {
        void ready(SelectionKey key) throws Exception;
    }

    /** A thread that selects, and passes each key to its attachment. */
    static final class Loop implements AutoCloseable {
        final Selector selector = Selector.open();
        final AtomicBoolean over = new AtomicBoolean();
        final ConcurrentLinkedQueue<Check.Body> queue = new ConcurrentLinkedQueue<>();
        final Thread thread;

        Loop(String name) throws Exception {
            thread = Check.thread(name, this::run);
        }

        void run() throws Exception {
            Random random = new Random(7);
            while (!over.get()) {
                // All three ways to select; the timeout is so long that a lost wake-up shows as a
                // hang.
                switch (random.nextInt(4)) {
                    case 0 -> selector.selectNow();
                    case 1 -> selector.select(90_000);
                    default -> selector.select();
                }
                for (Check.Body body; (body = queue.poll()) != null; ) body.run();
                Iterator<SelectionKey> keys = selector.selectedKeys().iterator();
                while (keys.hasNext()) {
                    SelectionKey key = keys.next();
                    keys.remove();
                    if (key.isValid()) ((Ready) key.attachment()).ready(key);
                }
            }
        }

        /** The body runs in the loop's thread. */
        void tell(Check.Body body) {
            queue.add(body);
            selector.wakeup();
        }

        @Override
        public void close() throws Exception {
            over.set(true);
            selector.wakeup();
            Check.join(thread);
            selector.close();
        }
    }

    static final int CONNECTIONS = 240;
    static final int MESSAGES = 30;

    /** Echoes; asks for OP_WRITE while it has bytes to send, and for OP_READ while it has none. */
    static final class Echo implements Ready {
        final ByteBuffer buffer = ByteBuffer.allocateDirect(16 << 10);

        @Override
        public void ready(SelectionKey key) throws Exception {
            SocketChannel channel = (SocketChannel) key.channel();
            if (key.isReadable()) {
                int count = channel.read(buffer);
                if (count < 0) {
                    channel.close();
                    return;
                }
            }
            buffer.flip();
            channel.write(buffer);
            key.interestOps(buffer.hasRemaining() ? SelectionKey.OP_WRITE : SelectionKey.OP_READ);
            buffer.compact();
        }
    }

    /** Writes messages of various sizes one after the other, and compares the echoes. */
    static final class Client implements Ready {
        final int id;
        final Random sizes;
        final CountDownLatch done;
        final AtomicLong bytes;
        final ByteBuffer in = ByteBuffer.allocate(32 << 10);
        ByteBuffer out = ByteBuffer.allocate(0);
        long sent, received;
        int left = MESSAGES;

        Client(int id, CountDownLatch done, AtomicLong bytes) {
            this.id = id;
            this.sizes = new Random(id);
            this.done = done;
            this.bytes = bytes;
        }

        void next() {
            int size = 1 + sizes.nextInt(left % 5 == 0 ? 200_000 : 2_000);
            out = ByteBuffer.allocate(size);
            for (int i = 0; i < size; i++) out.put(i, Check.at(id, sent + i));
            sent += size;
            left--;
        }

        @Override
        public void ready(SelectionKey key) throws Exception {
            SocketChannel channel = (SocketChannel) key.channel();
            if (key.isConnectable()) {
                Check.that(channel.finishConnect(), "a connection that was ready is not there");
                next();
            }
            if (key.isReadable()) {
                in.clear();
                Check.that(channel.read(in) >= 0, "the server hung up");
                for (int i = 0; i < in.position(); i++, received++)
                    Check.that(in.get(i) == Check.at(id, received), "connection " + id + ": byte " + received + " is wrong");
            }
            if (received == sent) {
                if (left == 0) {
                    bytes.addAndGet(received);
                    channel.close();
                    done.countDown();
                    return;
                }
                next();
            }
            if (out.hasRemaining()) channel.write(out);
            key.interestOps(SelectionKey.OP_READ | (out.hasRemaining() ? SelectionKey.OP_WRITE : 0));
        }
    }

    static String echo() throws Exception {
        List<Loop> loops = new ArrayList<>();
        for (int i = 0; i < 7; i++) loops.add(new Loop("loop " + i));
        List<Loop> servers = loops.subList(0, 4), clients = loops.subList(4, 7);

        ServerSocketChannel listener = ServerSocketChannel.open().bind(new InetSocketAddress(HERE, 0), 512);
        listener.configureBlocking(false);
        AtomicInteger accepted = new AtomicInteger();
        servers.get(0).tell(() -> listener.register(servers.get(0).selector, SelectionKey.OP_ACCEPT, (Ready) key -> {
            for (SocketChannel channel; (channel = listener.accept()) != null; ) {
                SocketChannel it = channel;
                it.configureBlocking(false);
                int n = accepted.getAndIncrement();
                Loop loop = servers.get(n % servers.size());
                // This thread registers half of them while that one selects, which learns of them
                // only by a wake-up.
                if (n % 8 < 4) {
                    it.register(loop.selector, SelectionKey.OP_READ, new Echo());
                    loop.selector.wakeup();
                } else {
                    loop.tell(() -> it.register(loop.selector, SelectionKey.OP_READ, new Echo()));
                }
            }
        }));

        AtomicBoolean over = new AtomicBoolean();
        AtomicLong wakeups = new AtomicLong();
        List<Thread> storm = new ArrayList<>();
        for (int i = 0; i < 2; i++)
            storm.add(Check.thread("storm " + i, () -> {
                Random random = new Random();
                while (!over.get()) {
                    int count = random.nextInt(50);
                    for (int k = 0; k < count; k++) loops.get(random.nextInt(loops.size())).selector.wakeup();
                    wakeups.addAndGet(count);
                    if (random.nextInt(4) == 0) Thread.sleep(1);
                    else Thread.yield();
                }
            }));

        CountDownLatch done = new CountDownLatch(CONNECTIONS);
        AtomicLong bytes = new AtomicLong();
        for (int i = 0; i < CONNECTIONS; i++) {
            int id = i;
            Loop loop = clients.get(i % clients.size());
            loop.tell(() -> {
                SocketChannel channel = SocketChannel.open();
                channel.configureBlocking(false);
                // The byte may be there already; it is reported the same as a later one.
                channel.register(loop.selector, SelectionKey.OP_CONNECT, new Client(id, done, bytes));
                if (channel.connect(listener.getLocalAddress())) {
                    ((Client) channel.keyFor(loop.selector).attachment()).next();
                    channel.keyFor(loop.selector).interestOps(SelectionKey.OP_WRITE);
                }
            });
        }
        Check.that(done.await(150, TimeUnit.SECONDS), done.getCount() + " connections are not through");
        over.set(true);
        for (Thread thread : storm) Check.join(thread);
        Check.that(accepted.get() == CONNECTIONS, "accepted " + accepted);
        // The servers see the end of each connection, and close it.
        for (Loop loop : servers) {
            int rest = loop == servers.get(0) ? 1 : 0;
            Check.until("a key is left after its channel was closed", () -> {
                loop.selector.wakeup();
                return loop.selector.keys().size() == rest;
            });
        }
        for (Loop loop : loops) loop.close();
        listener.close();
        Check.that(wakeups.get() > 1000, "no storm");
        return CONNECTIONS + " connections, " + CONNECTIONS * MESSAGES + " messages, " + bytes + " bytes";
    }

    /**
     * Threads that do not select cancel keys and close channels; each was reported before, and none
     * is after.
     */
    static String churn() throws Exception {
        final int threads = 3, rounds = 700;
        List<Loop> loops = new ArrayList<>();
        for (int i = 0; i < 3; i++) loops.add(new Loop("churned " + i));
        List<Thread> churners = new ArrayList<>();
        AtomicInteger reported = new AtomicInteger();
        for (int t = 0; t < threads; t++) {
            int seed = t;
            churners.add(Check.thread("churner " + t, () -> {
                Random random = new Random(seed);
                for (int round = 0; round < rounds; round++) {
                    Loop loop = loops.get(random.nextInt(loops.size()));
                    Pipe pipe = Pipe.open();
                    pipe.source().configureBlocking(false);
                    CountDownLatch seen = new CountDownLatch(1);
                    byte expected = (byte) round;
                    SelectionKey key = pipe.source().register(loop.selector, SelectionKey.OP_READ, (Ready) it -> {
                        ByteBuffer one = ByteBuffer.allocate(8);
                        int count;
                        try {
                            count = pipe.source().read(one);
                        } catch (java.nio.channels.ClosedChannelException e) {
                            return;
                        }
                        // With the byte: nothing, it is a second look at it. At the end: its thread
                        // closes both ends.
                        if (count <= 0) return;
                        Check.that(count == 1 && one.get(0) == expected, "a pipe has the byte of another one");
                        reported.incrementAndGet();
                        seen.countDown();
                    });
                    boolean early = random.nextBoolean();
                    if (early) pipe.sink().write(ByteBuffer.wrap(new byte[] {expected}));
                    loop.selector.wakeup();
                    if (!early) pipe.sink().write(ByteBuffer.wrap(new byte[] {expected}));
                    Check.that(seen.await(60, TimeUnit.SECONDS), "a pipe is not reported");
                    switch (random.nextInt(3)) {
                        case 0 -> pipe.source().close();
                        case 1 -> {
                            // While another thread selects, a cancelled key is still known until
                            // the next selection.
                            key.cancel();
                            loop.selector.wakeup();
                            Check.until("a cancelled key stays", () -> !pipe.source().isRegistered());
                            // The same channel again, in another selector: one report there too.
                            CountDownLatch again = new CountDownLatch(1);
                            Loop other = loops.get(random.nextInt(loops.size()));
                            pipe.source().register(other.selector, SelectionKey.OP_READ, (Ready) it -> {
                                it.cancel();
                                again.countDown();
                            });
                            other.selector.wakeup();
                            pipe.sink().write(ByteBuffer.wrap(new byte[] {expected}));
                            Check.that(again.await(60, TimeUnit.SECONDS), "a pipe that came back is not reported");
                            pipe.source().close();
                        }
                        default -> {
                            pipe.sink().close();
                            pipe.source().close();
                        }
                    }
                    pipe.sink().close();
                }
            }));
        }
        for (Thread thread : churners) Check.join(thread);
        Check.that(reported.get() == threads * rounds, "reported " + reported);
        for (Loop loop : loops) {
            Check.until("a key is left", () -> {
                loop.selector.wakeup();
                return loop.selector.keys().isEmpty();
            });
            loop.close();
        }
        return reported + " pipes cancelled or closed under a selecting thread";
    }

    /**
     * Another thread sets and clears OP_READ; without it nothing is reported, with it each byte is
     * reported once.
     */
    static String interest() throws Exception {
        final int rounds = 2000;
        try (Loop loop = new Loop("interested")) {
            Pipe pipe = Pipe.open();
            pipe.source().configureBlocking(false);
            AtomicInteger taken = new AtomicInteger();
            SelectionKey key = pipe.source().register(loop.selector, 0, (Ready) it -> {
                it.interestOps(0);
                ByteBuffer one = ByteBuffer.allocate(2);
                Check.that(pipe.source().read(one) == 1, "there is not one byte");
                Check.that(one.get(0) == (byte) taken.get(), "the wrong byte");
                taken.incrementAndGet();
            });
            for (int round = 0; round < rounds; round++) {
                int before = round;
                pipe.sink().write(ByteBuffer.wrap(new byte[] {(byte) round}));
                loop.selector.wakeup();
                Check.that(taken.get() == before, "reported without interest");
                key.interestOpsOr(SelectionKey.OP_READ);
                loop.selector.wakeup();
                long end = System.nanoTime() + 60_000_000_000L;
                while (taken.get() != before + 1) {
                    Check.that(System.nanoTime() < end, "interest that was given is not heard of");
                    Thread.onSpinWait();
                    Thread.yield();
                }
            }
            pipe.source().close();
            pipe.sink().close();
        }
        return rounds + " changes of interest from outside";
    }

    static long milliseconds(long since) {
        return (System.nanoTime() - since) / 1_000_000;
    }

    static String times() throws Exception {
        try (Selector selector = Selector.open()) {
            Pipe pipe = Pipe.open();
            pipe.source().configureBlocking(false);
            SelectionKey key = pipe.source().register(selector, SelectionKey.OP_READ);
            for (int timeout : new int[] {1, 5, 20, 60, 150}) {
                long start = System.nanoTime();
                Check.that(selector.select(timeout) == 0, "something is ready");
                // A millisecond less, for the rounding of the virtual machine's clock.
                Check.that(milliseconds(start) >= timeout - 1, "select(" + timeout + ") ended after " + milliseconds(start));
            }
            Check.that(selector.selectNow() == 0, "something is ready now");
            long start = System.nanoTime();
            selector.wakeup();
            selector.wakeup();
            Check.that(selector.select(50_000) == 0 && milliseconds(start) < 20_000, "a wake-up before the select is lost");
            start = System.nanoTime();
            Check.that(selector.select(30) == 0 && milliseconds(start) >= 29, "two wake-ups counted as two");

            // Woken, interrupted, and sent a byte, each during a sleep without a timeout.
            int ends = 0;
            for (int i = 0; i < 300; i++) {
                int how = i % 3;
                Thread sleeper = Thread.currentThread();
                Thread other = Check.thread("alarm", () -> {
                    if (Math.random() < 0.5) Thread.sleep(1);
                    switch (how) {
                        case 0 -> selector.wakeup();
                        case 1 -> sleeper.interrupt();
                        default -> pipe.sink().write(ByteBuffer.wrap(new byte[] {1}));
                    }
                });
                int count = selector.select();
                Check.that(Thread.interrupted() == (how == 1), "interrupted or not");
                Check.join(other);
                Check.that(count == (how == 2 ? 1 : 0), "select says " + count);
                if (how == 2) {
                    Check.that(selector.selectNow() == 0, "a selected key counts twice");
                    selector.selectedKeys().clear();
                    Check.that(selector.selectNow() == 1, "a ready key does not count again");
                    selector.selectedKeys().clear();
                    Check.that(pipe.source().read(ByteBuffer.allocate(4)) == 1, "the byte is not there");
                    Check.that(selector.selectNow() == 0, "ready without a byte");
                }
                ends++;
            }
            pipe.sink().close();
            Check.that(selector.select() == 1 && key.isReadable(), "the end of a pipe is not reported");
            pipe.source().close();
            return ends + " sleeps ended in three ways";
        }
    }

    /** Datagrams in both directions; each client has one in flight, so that none is dropped. */
    static String datagrams() throws Exception {
        final int clients = 60, rounds = 60;
        try (Loop server = new Loop("datagram server"); Loop loop = new Loop("datagram clients")) {
            DatagramChannel socket = DatagramChannel.open().bind(new InetSocketAddress(HERE, 0));
            socket.configureBlocking(false);
            ByteBuffer buffer = ByteBuffer.allocate(4096);
            socket.register(server.selector, SelectionKey.OP_READ, (Ready) key -> {
                for (;;) {
                    buffer.clear();
                    var from = socket.receive(buffer);
                    if (from == null) return;
                    buffer.flip();
                    Check.that(socket.send(buffer, from) == buffer.limit(), "a datagram was cut");
                }
            });
            server.selector.wakeup();
            CountDownLatch done = new CountDownLatch(clients);
            List<DatagramChannel> channels = new ArrayList<>();
            for (int i = 0; i < clients; i++) {
                int id = i;
                DatagramChannel channel = DatagramChannel.open().connect(socket.getLocalAddress());
                channels.add(channel);
                channel.configureBlocking(false);
                AtomicInteger round = new AtomicInteger();
                Check.Body send = () -> {
                    ByteBuffer out = ByteBuffer.allocate(1 + (id * 13 + round.get() * 29) % 1400);
                    for (int k = 0; k < out.capacity(); k++) out.put(k, Check.at(id, round.get() + k));
                    Check.that(channel.write(out) == out.capacity(), "a datagram was cut");
                };
                loop.tell(() -> {
                    channel.register(loop.selector, SelectionKey.OP_READ, (Ready) key -> {
                        ByteBuffer in = ByteBuffer.allocate(4096);
                        int count = channel.read(in);
                        if (count == 0) return;
                        Check.that(count == 1 + (id * 13 + round.get() * 29) % 1400, "a datagram of the wrong size");
                        for (int k = 0; k < count; k++) Check.that(in.get(k) == Check.at(id, round.get() + k), "a wrong byte");
                        if (round.incrementAndGet() == rounds) {
                            key.cancel();
                            done.countDown();
                        } else {
                            send.run();
                        }
                    });
                    send.run();
                });
            }
            Check.that(done.await(60, TimeUnit.SECONDS), done.getCount() + " datagram clients are not through");
            for (DatagramChannel channel : channels) channel.close();
            socket.close();
        }
        return clients * rounds + " datagrams";
    }

    /** A token goes round a ring of pipes; one of three threads reads each. */
    static String rings() throws Exception {
        final int pipes = 200, tokens = 20, hops = 20_000;
        List<Loop> loops = new ArrayList<>();
        for (int i = 0; i < 3; i++) loops.add(new Loop("ring " + i));
        List<Pipe> ring = new ArrayList<>();
        for (int i = 0; i < pipes; i++) ring.add(Pipe.open());
        AtomicInteger hopped = new AtomicInteger();
        AtomicInteger inside = new AtomicInteger(tokens);
        for (int i = 0; i < pipes; i++) {
            Pipe here = ring.get(i), next = ring.get((i + 1) % pipes);
            here.source().configureBlocking(false);
            ByteBuffer buffer = ByteBuffer.allocate(tokens);
            here.source().register(loops.get(i % loops.size()).selector, SelectionKey.OP_READ, (Ready) key -> {
                buffer.clear();
                int count = here.source().read(buffer);
                for (int k = 0; k < count; k++)
                    if (hopped.incrementAndGet() > hops - tokens) {
                        // The last lap of each token.
                        inside.decrementAndGet();
                    } else {
                        next.sink().write(ByteBuffer.wrap(new byte[] {buffer.get(k)}));
                    }
            });
        }
        for (Loop loop : loops) loop.selector.wakeup();
        for (int i = 0; i < tokens; i++) ring.get(i * pipes / tokens).sink().write(ByteBuffer.wrap(new byte[] {(byte) i}));
        Check.until("tokens are lost: " + inside, () -> inside.get() == 0);
        Check.that(hopped.get() == hops, hopped + " hops");
        for (Loop loop : loops) loop.close();
        for (Pipe pipe : ring) {
            pipe.sink().close();
            pipe.source().close();
        }
        return hopped + " hops through pipes";
    }

    /** Asynchronous channels: a group of threads on one instance, every registration one-shot. */
    static String asynchronous() throws Exception {
        final int connections = 100, rounds = 40, size = 3000;
        AsynchronousChannelGroup group = AsynchronousChannelGroup.withFixedThreadPool(4, Executors.defaultThreadFactory());
        AsynchronousServerSocketChannel listener =
                AsynchronousServerSocketChannel.open(group).bind(new InetSocketAddress(HERE, 0), 256);
        listener.accept(null, new CompletionHandler<AsynchronousSocketChannel, Void>() {
            @Override
            public void completed(AsynchronousSocketChannel channel, Void none) {
                listener.accept(null, this);
                ByteBuffer buffer = ByteBuffer.allocate(1000);
                channel.read(buffer, true, new CompletionHandler<Integer, Boolean>() {
                    @Override
                    public void completed(Integer count, Boolean read) {
                        if (read && count < 0) {
                            Check.body("close", channel::close).run();
                            return;
                        }
                        if (read) buffer.flip();
                        if (buffer.hasRemaining()) {
                            channel.write(buffer, false, this);
                        } else {
                            buffer.clear();
                            channel.read(buffer, true, this);
                        }
                    }

                    @Override
                    public void failed(Throwable why, Boolean read) {
                        Check.fail("an asynchronous echo", why);
                    }
                });
            }

            @Override
            public void failed(Throwable why, Void none) {
                if (!(why instanceof java.nio.channels.AsynchronousCloseException)) Check.fail("an accept", why);
            }
        });
        CountDownLatch done = new CountDownLatch(connections);
        AtomicInteger compared = new AtomicInteger();
        for (int i = 0; i < connections; i++) {
            int id = i;
            AsynchronousSocketChannel channel = AsynchronousSocketChannel.open(group);
            channel.connect(listener.getLocalAddress()).get(60, TimeUnit.SECONDS);
            ByteBuffer out = ByteBuffer.allocate(size), in = ByteBuffer.allocate(size);
            AtomicInteger round = new AtomicInteger();
            for (int k = 0; k < size; k++) out.put(k, Check.at(id, k));
            CompletionHandler<Integer, Boolean> step = new CompletionHandler<>() {
                @Override
                public void completed(Integer count, Boolean wrote) {
                    Check.that(count > 0, "an asynchronous channel ended");
                    if (out.hasRemaining()) {
                        channel.write(out, true, this);
                    } else if (in.hasRemaining()) {
                        channel.read(in, 60, TimeUnit.SECONDS, false, this);
                    } else {
                        for (int k = 0; k < size; k++)
                            Check.that(in.get(k) == Check.at(id, k), "asynchronous: a wrong byte");
                        compared.incrementAndGet();
                        if (round.incrementAndGet() == rounds) {
                            Check.body("close", channel::close).run();
                            done.countDown();
                        } else {
                            in.clear();
                            out.clear();
                            channel.write(out, true, this);
                        }
                    }
                }

                @Override
                public void failed(Throwable why, Boolean wrote) {
                    Check.fail("an asynchronous client", why);
                }
            };
            channel.write(out, true, step);
        }
        Check.that(done.await(90, TimeUnit.SECONDS), done.getCount() + " asynchronous connections are not through");
        listener.close();
        group.shutdown();
        Check.that(group.awaitTermination(30, TimeUnit.SECONDS), "the group does not end");
        return compared + " asynchronous rounds";
    }

    public static void main(String[] arguments) throws Exception {
        Thread.setDefaultUncaughtExceptionHandler((thread, why) -> Check.fail(thread.getName(), why));
        // Stays open to the end, for checks of the process's descriptors.
        Selector witness = Selector.open();
        System.out.println("started");
        String said = String.join("; ", echo(), churn(), interest(), times(), datagrams(), rings(), asynchronous());
        witness.close();
        System.out.println("passed: java " + System.getProperty("java.version") + ": " + said);
    }
}
