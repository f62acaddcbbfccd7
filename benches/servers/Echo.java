// An echo server on a selector of java.nio, with one thread: prints its port.
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Iterator;

public final class Echo {
    private Echo() {}

    private static final ByteBuffer BUFFER = ByteBuffer.allocateDirect(16384);

    private static void accept(ServerSocketChannel listener, Selector selector) throws Exception {
        for (SocketChannel channel; (channel = listener.accept()) != null; ) {
            channel.configureBlocking(false);
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            channel.register(selector, SelectionKey.OP_READ);
        }
    }

    /** The requests are small, so that the socket has room for every answer. */
    private static void answer(SocketChannel channel) throws IOException {
        BUFFER.clear();
        try {
            if (channel.read(BUFFER) >= 0) {
                BUFFER.flip();
                channel.write(BUFFER);
                if (BUFFER.hasRemaining()) throw new AssertionError("no room for an answer");
                return;
            }
        } catch (IOException reset) {
            // The load ends with requests under way.
        }
        channel.close();
    }

    public static void main(String[] arguments) throws Exception {
        SocketChannel.open().close(); // makes the sockets that Java closes others with
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 4096);
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        System.out.println(((InetSocketAddress) listener.getLocalAddress()).getPort());
        while (true) {
            selector.select();
            Iterator<SelectionKey> keys = selector.selectedKeys().iterator();
            while (keys.hasNext()) {
                SelectionKey key = keys.next();
                keys.remove();
                if (key.isAcceptable()) accept(listener, selector);
                else answer((SocketChannel) key.channel());
            }
        }
    }
}
