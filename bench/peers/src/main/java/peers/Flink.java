package peers;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.FilterFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.cep.CEP;
import org.apache.flink.cep.functions.PatternProcessFunction;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.pattern.Pattern;
import org.apache.flink.cep.pattern.conditions.IterativeCondition;
import org.apache.flink.cep.pattern.conditions.SimpleCondition;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamUtils;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/**
 * Flink in a local environment with one slot: object reuse, state on the heap, no checkpoints. The stream is taken for keyed
 * as it is (reinterpretAsKeyedStream), so that all operators are one chain in one thread and no event is serialized. Each run
 * is a job of its own in one warm JVM.
 */
public final class Flink {
    private Flink() {}

    /** Events between watermarks. Few, since events wait in the state of the pattern for one, and the fewer wait the better. */
    private static final int EACH = 10;

    private static int open; // sinks that have not seen the end

    /** Emits the rows. */
    public static final class Memory implements GeneratorFunction<Long, Peer.Row> {
        @Override
        public Peer.Row map(Long i) {
            if (i == Peer.half()) {
                Peer.start();
            }
            return Peer.rows.get(i.intValue());
        }
    }

    /** Says that event time has come as far as the last event, every so many events. */
    public static final class Ascending implements WatermarkGenerator<Peer.Row> {
        private int n;

        @Override
        public void onEvent(Peer.Row r, long time, WatermarkOutput out) {
            if (++n % EACH == 0) {
                out.emitWatermark(new Watermark(time - 1));
            }
        }

        @Override
        public void onPeriodicEmit(WatermarkOutput out) {}
    }

    /** Counts results, and says when there will be no more. */
    public static final class Count implements Sink<Peer.Result> {
        @Override
        public SinkWriter<Peer.Result> createWriter(WriterInitContext context) {
            open++;
            return new SinkWriter<>() {
                @Override
                public void write(Peer.Result r, Context context) {
                    Peer.result(r.sum);
                }

                @Override
                public void flush(boolean end) {
                    if (end && --open == 0) {
                        Peer.end();
                    }
                }

                @Override
                public void close() {}
            };
        }
    }

    /** Count, mean and maximum of temperatures. */
    public static final class Aggregate implements AggregateFunction<Peer.Row, double[], double[]> {
        @Override
        public double[] createAccumulator() {
            return new double[] {0, 0, Double.NEGATIVE_INFINITY};
        }

        @Override
        public double[] add(Peer.Row r, double[] a) {
            a[0]++;
            a[1] += r.temperature;
            a[2] = Math.max(a[2], r.temperature);
            return a;
        }

        @Override
        public double[] getResult(double[] a) {
            return new double[] {a[0], a[1] / a[0], a[2]};
        }

        @Override
        public double[] merge(double[] a, double[] b) {
            return new double[] {a[0] + b[0], a[1] + b[1], Math.max(a[2], b[2])};
        }
    }

    private static SimpleCondition<Peer.Row> is(FilterFunction<Peer.Row> f) {
        return SimpleCondition.of(f);
    }

    private static Pattern<Peer.Row, ?> sequence(AfterMatchSkipStrategy skip) {
        return Pattern.<Peer.Row>begin("hot", skip).where(is(e -> e.temperature > 80))
                .followedBy("spike").where(is(e -> e.vibration > 2))
                .followedBy("stop").where(new IterativeCondition<Peer.Row>() {
                    @Override
                    public boolean filter(Peer.Row e, Context<Peer.Row> run) throws Exception {
                        return e.status.equals("stopped")
                                && e.temperature < run.getEventsForPattern("hot").iterator().next().temperature;
                    }
                })
                .within(Duration.ofMinutes(5));
    }

    private static Pattern<Peer.Row, ?> trades(AfterMatchSkipStrategy skip) {
        return Pattern.<Peer.Row>begin("a", skip).where(is(e -> e.key.equals("S01")))
                .followedBy("b").where(is(e -> e.key.equals("S02")))
                .followedBy("c").where(is(e -> e.key.equals("S03")))
                .within(Duration.ofSeconds(1));
    }

    private static DataStream<Peer.Result> matches(KeyedStream<Peer.Row, String> in, Pattern<Peer.Row, ?> pattern, String first, boolean trades) {
        return CEP.pattern(in, pattern).process(new PatternProcessFunction<Peer.Row, Peer.Result>() {
            @Override
            public void processMatch(Map<String, List<Peer.Row>> match, Context context, Collector<Peer.Result> out) {
                Peer.Row r = match.get(first).get(0);
                out.collect(new Peer.Result(r.key, trades ? r.price : r.temperature));
            }
        });
    }

    private static DataStream<Peer.Result> windows(KeyedStream<Peer.Row, String> in) {
        return in.window(TumblingEventTimeWindows.of(Duration.ofMinutes(1)))
                .aggregate(new Aggregate(), new ProcessWindowFunction<double[], Peer.Result, String, TimeWindow>() {
                    @Override
                    public void process(String key, Context context, Iterable<double[]> values, Collector<Peer.Result> out) {
                        double[] a = values.iterator().next();
                        if (!key.equals(Peer.END)) {
                            out.collect(new Peer.Result(key, a[0] + a[1] + a[2]));
                        }
                    }
                });
    }

    private static KeyedStream<Peer.Row, String> byKey(DataStream<Peer.Row> in) {
        return DataStreamUtils.reinterpretAsKeyedStream(in, e -> e.key, TypeInformation.of(String.class));
    }

    private static KeyedStream<Peer.Row, String> together(DataStream<Peer.Row> in) {
        return DataStreamUtils.reinterpretAsKeyedStream(in, e -> "", TypeInformation.of(String.class));
    }

    private static void build(String workload, DataStream<Peer.Row> in) {
        AfterMatchSkipStrategy every = AfterMatchSkipStrategy.noSkip();
        AfterMatchSkipStrategy past = AfterMatchSkipStrategy.skipPastLastEvent();
        Count count = new Count();
        TypeInformation<Peer.Result> type = TypeInformation.of(Peer.Result.class);
        switch (workload) {
            case "filter":
                in.filter(e -> e.temperature > 80).map(e -> new Peer.Result(e.key, e.temperature)).returns(type).sinkTo(count);
                return;
            case "rules":
                for (int i = 0; i < 100; i++) {
                    String name = String.format("S%02d", i);
                    in.filter(e -> e.key.equals(name) && e.volume > 990).map(e -> new Peer.Result(e.key, e.volume)).returns(type).sinkTo(count);
                }
                return;
            case "window":
                windows(byKey(in)).sinkTo(count);
                return;
            case "sequence":
                matches(byKey(in), sequence(every), "hot", false).sinkTo(count);
                return;
            case "sequence-filtered":
                DataStream<Peer.Row> some = in.filter(e -> e.temperature > 80 || e.vibration > 2 || e.status.equals("stopped"));
                matches(byKey(some), sequence(every), "hot", false).sinkTo(count);
                return;
            case "sequence-past":
                matches(byKey(in), sequence(past), "hot", false).sinkTo(count);
                return;
            case "trades":
                matches(together(in), trades(every), "a", true).sinkTo(count);
                return;
            case "trades-past":
                matches(together(in), trades(past), "a", true).sinkTo(count);
                return;
            default:
                throw new IllegalArgumentException(workload);
        }
    }

    private static void run(String workload) throws Exception {
        Configuration c = new Configuration();
        c.setString("pipeline.object-reuse", "true");
        c.setString("state.backend.type", "hashmap");
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, c);
        WatermarkStrategy<Peer.Row> times = WatermarkStrategy.noWatermarks(); // a filter needs none
        if (!workload.equals("filter") && !workload.equals("rules")) {
            times = WatermarkStrategy.<Peer.Row>forGenerator(context -> new Ascending());
        }
        build(workload, env.fromSource(
                new DataGeneratorSource<>(new Memory(), Peer.rows.size(), TypeInformation.of(Peer.Row.class)),
                times.withTimestampAssigner((e, t) -> e.time), "memory"));
        open = 0;
        env.execute();
    }

    public static void main(String[] args) throws Exception {
        Peer.serve(args, Flink::run);
    }
}
