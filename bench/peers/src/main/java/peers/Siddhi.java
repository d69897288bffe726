package peers;

import io.siddhi.core.SiddhiAppRuntime;
import io.siddhi.core.SiddhiManager;
import io.siddhi.core.event.Event;
import io.siddhi.core.stream.input.InputHandler;
import io.siddhi.core.stream.output.StreamCallback;
import java.util.ArrayList;
import java.util.List;

/**
 * Siddhi in its own process: no @async, which would add a thread, and events sent in arrays. Each run is an app of its own in
 * one warm JVM. Times are those of the events where they matter: `within` goes by them, and the window by a column.
 *
 * <p>Siddhi has no strategy that skips past the last event: every run of a pattern that completes is a match.
 */
public final class Siddhi {
    private Siddhi() {}

    private static final int BATCH = 1000;
    private static final String READINGS = "define stream T (ts long, key string, temperature double, vibration double, status string); ";
    private static final String TRADES = "define stream T (key string, volume long, price double); ";
    private static final String SEQUENCE =
            " from every hot=T[temperature > 80.0] -> spike=T[vibration > 2.0]"
                    + " -> stop=T[status == 'stopped' and temperature < hot.temperature] within 5 min"
                    + " select hot.key as key, hot.temperature as x insert into Out; ";

    private static String app(String workload) {
        switch (workload) {
            case "filter":
                return READINGS + "from T[temperature > 80.0] select key, temperature as x insert into Out;";
            case "rules":
                StringBuilder b = new StringBuilder(TRADES);
                for (int i = 0; i < 100; i++) {
                    b.append(String.format("from T[key == 'S%02d' and volume > 990L] select key, volume as x insert into Out; ", i));
                }
                return b.toString();
            case "window":
                return READINGS + "from T#window.externalTimeBatch(ts, 1 min, 0L)"
                        + " select key, count() as n, avg(temperature) as mean, max(temperature) as top group by key insert into Out;";
            case "sequence":
                return READINGS + "partition with (key of T) begin" + SEQUENCE + "end;";
            case "sequence-filtered":
                return READINGS + "from T[temperature > 80.0 or vibration > 2.0 or status == 'stopped'] select * insert into F;"
                        + " partition with (key of F) begin" + SEQUENCE.replace("=T[", "=F[") + "end;";
            case "trades":
                return TRADES + "from every a=T[key == 'S01'] -> b=T[key == 'S02'] -> c=T[key == 'S03'] within 1 sec"
                        + " select a.key as key, a.price as x insert into Out;";
            default:
                throw new IllegalArgumentException(workload);
        }
    }

    private static Object[] columns(String workload, Peer.Row r) {
        if (r.status == null) {
            return new Object[] {r.key, r.volume, r.price};
        }
        return new Object[] {r.time, r.key, r.temperature, r.vibration, r.status};
    }

    private static List<Event[]> batches(String workload) {
        List<Event[]> out = new ArrayList<>();
        List<Event> batch = new ArrayList<>();
        for (int i = 0; i < Peer.rows.size(); i++) {
            Peer.Row r = Peer.rows.get(i);
            if (i == Peer.half() || batch.size() == BATCH) {
                out.add(batch.toArray(new Event[0]));
                batch.clear();
            }
            batch.add(new Event(r.time, columns(workload, r)));
        }
        out.add(batch.toArray(new Event[0]));
        return out;
    }

    private static void run(String workload, List<Event[]> batches) throws InterruptedException {
        SiddhiManager manager = new SiddhiManager();
        SiddhiAppRuntime app = manager.createSiddhiAppRuntime(app(workload));
        app.addCallback("Out", new StreamCallback() {
            @Override
            public void receive(Event[] events) {
                for (Event e : events) {
                    double sum = 0;
                    for (int i = 1; i < e.getData().length; i++) {
                        sum += ((Number) e.getData(i)).doubleValue();
                    }
                    Peer.result(sum);
                }
            }
        });
        InputHandler in = app.getInputHandler("T");
        app.start();
        int sent = 0;
        for (Event[] batch : batches) {
            if (sent == Peer.half()) {
                Peer.start();
            }
            in.send(batch);
            sent += batch.length;
        }
        Peer.end();
        app.shutdown();
        manager.shutdown();
    }

    public static void main(String[] args) throws Exception {
        List<Event[]>[] batches = new List[1];
        Peer.serve(args, workload -> {
            if (batches[0] == null) {
                batches[0] = batches(workload);
            }
            run(workload, batches[0]);
        });
    }
}
